// Package browsertest has tests only: the SDKs that pages use, as npm serves
// them, send to collect from headless Chromium. Debian has what is needed:
//
//	apt-get install chromium-headless-shell npm
//
// It is a module of its own, so that what drives the browser is not asked of
// importers.
package browsertest
