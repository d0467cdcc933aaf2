// Package click is the domain of Clickledger: what a click, an impression, a
// click token, a window and a figure are, and the rules that need no server to
// be decided.
//
// It is pure: standard library only, no context, clock, logger or I/O. Time is
// an argument. Every other package may import it; it imports none of ours.
package click
