package jobs

import "errors"

// ErrFenced says that another process has taken the job over.
var ErrFenced = errors.New("jobs: another process has taken this job over")

// ErrRepeated says that the same delivery has made a job before.
var ErrRepeated = errors.New("jobs: this delivery has made a job before")

// ErrNoDraft says that the draft of a job is not there any more: a job was made
// of it already, or its time was up.
var ErrNoDraft = errors.New("jobs: there is no such draft")
