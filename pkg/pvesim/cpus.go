package pvesim

import (
	"fmt"
	"strings"
)

// cpuModels are the built-in types of processors, by vendor.
var cpuModels = map[string][]string{
	"default": strings.Fields("host max kvm32 kvm64 qemu32 qemu64 x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4"),
	"GenuineIntel": strings.Fields(`486 pentium pentium2 pentium3 coreduo core2duo Conroe Penryn Nehalem Nehalem-IBRS Westmere Westmere-IBRS
		SandyBridge SandyBridge-IBRS IvyBridge IvyBridge-IBRS Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS Broadwell Broadwell-IBRS
		Broadwell-noTSX Broadwell-noTSX-IBRS Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server
		Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 Cascadelake-Server Cascadelake-Server-v2
		Cascadelake-Server-noTSX Cascadelake-Server-v4 Cascadelake-Server-v5 Cooperlake Cooperlake-v2 KnightsMill Icelake-Server
		Icelake-Server-noTSX Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 SapphireRapids SapphireRapids-v2
		GraniteRapids`),
	"AuthenticAMD": strings.Fields(`athlon phenom Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC EPYC-IBPB EPYC-v3 EPYC-v4 EPYC-Rome
		EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Milan EPYC-Milan-v2 EPYC-Genoa`),
}

// cpuVendor is the vendor of a built-in type; "" for others.
func cpuVendor(name string) string {
	for vendor, list := range cpuModels {
		if contains(list, name) {
			return vendor
		}
	}
	return ""
}

// cpuList shows the types of processors that a VM can have.
func (q *call) cpuList() (any, error) {
	out := []any{}
	for _, vendor := range sortedKeys(cpuModels) {
		for _, name := range cpuModels[vendor] {
			out = append(out, object{"name": name, "vendor": vendor, "custom": 0})
		}
	}
	return out, nil
}

// machineVersions are the versions of QEMU's machines that are shown.
var machineVersions = strings.Fields("10.0 9.2 9.1 9.0 8.2 8.1 8.0")

func (q *call) machineList() (any, error) {
	out := []any{}
	for _, typ := range []string{"i440fx", "q35"} {
		for _, version := range machineVersions {
			out = append(out, object{"id": fmt.Sprintf("pc-%s-%s", typ, version), "type": typ, "version": version})
		}
	}
	return out, nil
}
