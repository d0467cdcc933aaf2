// Package activities is what workflows have done to the servers, one struct per
// subject. It knows only the domain and the small interfaces it declares; the
// stores satisfy them without knowing. Rows never pass through Temporal: an
// activity has a server do the work, or does it piece by piece, and returns
// counts.
package activities
