// Package browsertest has tests only: they load pages that package kmq wrote in
// headless Chromium. Debian has what is needed:
//
//	apt-get install chromium-headless-shell
//
// It is a module of its own, so that what drives the browser is not asked of
// importers.
package browsertest
