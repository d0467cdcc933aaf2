package server

import "clickledger/internal/click"

// checkLandingURL is click.CheckLandingURL in the terms of a call.
func checkLandingURL(text string) error {
	if err := click.CheckLandingURL(text); err != nil {
		return invalid(err.Error())
	}
	return nil
}
