// Package openloop clicks ads at a constant rate: click number i is due at
// begin + i/rate whatever the system does, and its latency is measured from
// then, so a stall is charged to every click that it delayed.
package openloop
