// Package workflows decides what happens when: which windows are flushed, in
// what order, what waits for what. It holds no I/O and no clock of its own;
// what touches a server is an activity.
package workflows
