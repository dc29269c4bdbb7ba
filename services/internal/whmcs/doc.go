// Package whmcs holds the WHMCS module against the real thing: gateway, services, NATS and Redis, with
// the simulator in the place of Proxmox. The tests themselves are PHP, in deploy/whmcs/tests.
package whmcs
