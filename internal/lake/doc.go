// Package lake is what is known and done about the lake as a whole, across the
// stores that it lies between. It knows them by small interfaces.
package lake
