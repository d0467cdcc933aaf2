// Package secure has the programs' own clients connect by TLS and passwords, with
// certificates made for it, to servers of its own: those of the local stack that
// can serve TLS.
package secure
