package gateway

import "runtime/debug"

// buildVersion names the version or the commit that the program was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		const short = 12 // digits tell commits apart
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			return s.Value[:min(len(s.Value), short)]
		}
	}
	if version == "" {
		return "(devel)"
	}
	return version
}
