package config

import "testing"

// TestTheExampleLoads holds the commented example against the code.
func TestTheExampleLoads(t *testing.T) {
	c, err := Load("../../deploy/vmline.example.yaml", env("VMLINE_DC1_TOKEN_SECRET", "uuid", "VMLINE_TSIG_SECRET", "c2VjcmV0"), allParts...)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Clusters) != 1 || len(c.Pools) != 2 || len(c.DNS.Zones) != 3 {
		t.Errorf("%d clusters, %d pools, %d zones", len(c.Clusters), len(c.Pools), len(c.DNS.Zones))
	}
}
