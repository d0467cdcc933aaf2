package main

import "time"

// state is what a service is doing.
type state string

const (
	stopped  state = "stopped"
	starting state = "starting" // the process runs or is about to, but is not ready
	ready    state = "ready"
	waiting  state = "waiting" // died, to be started again in a moment
	stopping state = "stopping"
)

// report is what the supervisor knows about a service.
type report struct {
	Name      string    `json:"name"`
	State     state     `json:"state"`
	PID       int       `json:"pid,omitempty"`
	Since     time.Time `json:"since"`               // of the state; of the process's start once it runs
	Restarts  int       `json:"restarts"`            // by the supervisor, since it was last told to start
	Problem   string    `json:"problem,omitempty"`   // why it is not ready, or died last
	Started   string    `json:"started,omitempty"`   // fingerprint of the program and settings that run
	LastDeath time.Time `json:"last_death,omitzero"` // when it last died by itself
	Set       settings  `json:"set,omitempty"`       // what it was told in place of .local/env, until it is stopped
}
