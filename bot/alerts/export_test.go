package alerts

import "context"

// Pass is one turn of Run.
func (a *Alerts) Pass(ctx context.Context) { a.pass(ctx) }
