package jobs

import "errors"

// ErrFenced says that another process has taken the job over.
var ErrFenced = errors.New("jobs: another process has taken this job over")
