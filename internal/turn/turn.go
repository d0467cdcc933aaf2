// Package turn says how soon a thread is given a processor, and how much of it a
// process gets, when others want it too.
package turn

import "time"

// Turns for Take.
const (
	Prompt = 100 * time.Microsecond // the shortest there is
	Usual  = time.Duration(0)       // the system's own
)

// niceness of what gives way: a sixtieth of the processor time of what does not, when both want it (sched(7), the nice value). Not
// SCHED_IDLE: on a machine that is busy with other things too, ClickHouse then got nothing for seconds, and with it who asked it.
const niceness = 19
