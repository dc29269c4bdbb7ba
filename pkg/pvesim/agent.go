package pvesim

import (
	"fmt"
	"strconv"
	"strings"
)

// agentAnswers reports whether the guest agent of a running VM answers by now.
func (c *Cluster) agentAnswers(v *vm) bool {
	return !v.guest.NoAgent && !v.paused && c.cfg.Now().Sub(v.started) >= v.guest.AgentAfter
}

// agent checks that a VM's agent can be used.
func (q *call) agent() (*vm, error) {
	v, err := q.vmOf()
	switch {
	case err != nil:
		return nil, err
	case !agentOn(v.conf):
		return nil, fail("No QEMU guest agent configured")
	case !v.running:
		return nil, fail("VM %d is not running", v.id)
	case !q.c.agentAnswers(v):
		return nil, fail("QEMU guest agent is not running")
	}
	return v, nil
}

func (q *call) agentPing() (any, error) {
	if _, err := q.agent(); err != nil {
		return nil, err
	}
	return object{"result": object{}}, nil
}

func (q *call) agentOSInfo() (any, error) {
	if _, err := q.agent(); err != nil {
		return nil, err
	}
	return object{"result": object{"id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 13 (trixie)", "version": "13 (trixie)", "version-id": "13", "machine": "x86_64", "kernel-release": "6.12.0"}}, nil
}

// agentInterfaces shows the addresses that cloud-init was given, on one interface for each card.
func (q *call) agentInterfaces() (any, error) {
	v, err := q.agent()
	if err != nil {
		return nil, err
	}
	list := []any{object{"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": []any{agentAddress("127.0.0.1/8"), agentAddress("::1/128")}}}
	for i := range 32 {
		n, err := parseNIC("net", v.conf["net"+itoa(i)])
		if err != nil {
			continue
		}
		ip, _ := propStrings["ipconfig"].parse("ipconfig", v.conf["ipconfig"+itoa(i)])
		addresses := []any{}
		for _, k := range []string{"ip", "ip6"} {
			if strings.Contains(ip[k], "/") {
				addresses = append(addresses, agentAddress(ip[k]))
			}
		}
		list = append(list, object{"name": fmt.Sprintf("eth%d", i), "hardware-address": strings.ToLower(n.mac), "ip-addresses": addresses})
	}
	return object{"result": list}, nil
}

func agentAddress(cidr string) object {
	addr, bits, _ := strings.Cut(cidr, "/")
	kind := "ipv4"
	if strings.Contains(addr, ":") {
		kind = "ipv6"
	}
	prefix, _ := strconv.Atoi(bits) // checked when it was set
	return object{"ip-address": addr, "ip-address-type": kind, "prefix": prefix}
}
