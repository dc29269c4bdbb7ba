package pvesim

import (
	"fmt"
	"strings"
	"testing"
)

func TestRulesOfHighAvailability(t *testing.T) {
	s := newSim(t)
	for id := 101; id <= 102; id++ {
		s.clone(id)
		s.data("POST", "/cluster/ha/resources", fmt.Sprintf("sid=vm:%d&state=stopped", id))
	}
	const path = "/cluster/ha/rules"
	for params, want := range map[string]string{
		"rule=r1&type=node-affinity&resources=vm:103&nodes=pve1":                "create ha rule failed: cannot use unmanaged resource(s) vm:103.",
		"rule=r1&type=node-affinity&resources=vm:101&nodes=pve1,pve9":           "create ha rule failed: cannot use non-existant node(s) pve9.", //nolint:misspell // Proxmox VE's own words
		"rule=r1&type=node-affinity&resources=vm:101":                           `"nodes":"property is missing`,
		"rule=r1&type=resource-affinity&resources=vm:101&affinity=negative":     "less than two resources",
		"rule=r1&type=resource-affinity&resources=vm:101,vm:102&affinity=never": `"affinity":"value 'never' does not have a value`,
	} {
		if got := s.do("POST", path, params); got.code == 200 || !strings.Contains(got.reason+string(got.body), want) {
			t.Errorf("%s: %d %s %s, want %s", params, got.code, got.reason, got.body, want)
		}
	}
	s.data("POST", path, "rule=near&type=node-affinity&resources=101&nodes=pve1:2,pve2")
	s.data("POST", path, "rule=apart&type=resource-affinity&resources=vm:101,vm:102&affinity=negative")
	s.refused("POST", path, "rule=near&type=node-affinity&resources=vm:101&nodes=pve1", 500, "create ha rule failed: HA rule 'near' already defined")
	r := s.data("GET", path+"/near", "").(map[string]any)
	if r["resources"] != "vm:101" || r["nodes"] != "pve1:2,pve2" || r["strict"] != 0.0 || r["order"] != 1.0 {
		t.Errorf("%v", r)
	}
	s.data("PUT", path+"/near", "type=node-affinity&strict=1&comment=x")
	s.refused("PUT", path+"/far", "type=node-affinity&strict=1", 500, "update HA rules failed: HA rule 'far' does not exist")
	s.refused("PUT", path+"/near", "type=node-affinity&digest=0000", 500, "detected modified configuration - file changed by other user? Try again.")
	if list := s.data("GET", path, "resource=vm:102").([]any); len(list) != 1 || list[0].(map[string]any)["rule"] != "apart" {
		t.Errorf("%v", list)
	}
	s.data("DELETE", "/cluster/ha/resources/vm:101", "")
	s.refused("GET", path+"/near", "", 500, "no such ha rule 'near'")
	if got := s.data("GET", path+"/apart", "").(map[string]any)["resources"]; got != "vm:102" {
		t.Errorf("%v", got)
	}
	s.data("DELETE", path+"/apart", "")
	s.refused("GET", "/cluster/ha/groups", "", 500, "cannot index groups: ha groups have been migrated to rules")
	s.refused("POST", "/cluster/ha/resources", "sid=vm:101&group=g1", 500, "invalid parameter 'group': ha groups have been migrated to rules")
}

func TestGroupsOfHighAvailability(t *testing.T) {
	s := newSim(t, func(cfg *Config) { cfg.PVE = "8.4" })
	s.clone(101)
	s.refused("GET", "/cluster/ha/rules", "", 501, "Method 'GET /cluster/ha/rules' not implemented")
	s.refused("POST", "/cluster/ha/resources", "sid=vm:101&group=g1", 500, "HA group 'g1' does not exist")
	s.data("POST", "/cluster/ha/groups", "group=g1&nodes=pve1:2,pve2&restricted=1")
	s.data("PUT", "/cluster/ha/groups/g1", "delete=restricted&comment=x")
	s.data("POST", "/cluster/ha/resources", "sid=vm:101&group=g1&state=stopped")
	if got := fmt.Sprint(s.data("GET", "/cluster/ha/groups", "")); !strings.Contains(got, "comment:x") || !strings.Contains(got, "group:g1 nodes:pve1:2,pve2 type:group") {
		t.Errorf("%s", got)
	}
	s.refused("DELETE", "/cluster/ha/groups/g1", "", 500, "delete ha group failed: ha group is used by service 'vm:101'")
	s.data("DELETE", "/cluster/ha/resources/101", "")
	s.data("DELETE", "/cluster/ha/groups/g1", "")
	s.refused("GET", "/cluster/ha/groups/g1", "", 500, "no such ha group 'g1'")
}
