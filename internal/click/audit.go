package click

import "time"

// AuditEvent is one call that changes something: who made it, on what, and how
// it ended. It never holds a secret. It is stored twice, before anything is done
// and once it has ended.
type AuditEvent struct {
	ID      int64
	At      time.Time // when the call came, by the gateway's clock, whole microseconds
	EndedAt time.Time // zero: not yet, or nobody knows

	Method       string // SERVICE/METHOD
	KeyID        int64  // who; 0: the admin key of the configuration
	Role         Role   // of that key
	AdvertiserID int64  // of that key; 0 unless Role is RoleAdvertiser

	// Subject is what the call is about: advertiser 7, ad 12, key 99. It is empty
	// while it does not exist yet.
	Subject string
	Detail  string // what it was to become
	Code    string // ok or the error's; empty while EndedAt is zero
	Message string // of the error, as it was told to the caller
}

// AuditQuery asks for one page of events, the newest first. What is zero does
// not restrict it.
type AuditQuery struct {
	From, To time.Time // of calls that came in [From, To)
	KeyID    *int64
	Method   string
	Subject  string
	After    *AuditKey // the last of the page before
	Limit    int
}

// AuditKey names an event, by when it began.
type AuditKey struct {
	At time.Time
	ID int64
}
