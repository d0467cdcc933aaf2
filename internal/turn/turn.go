// Package turn says how long a thread may keep others from a processor.
package turn

import "time"

// Turns for Take.
const (
	Prompt = 100 * time.Microsecond // the shortest there is
	Usual  = time.Duration(0)       // the system's own
)
