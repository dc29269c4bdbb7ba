package pvesim

import "strings"

// indexPages are the paths that only list what is below them: path to the key under which they do.
var indexPages = map[string]string{
	"/": "subdir", "/access": "subdir", "/cluster": "name", "/cluster/backup-info": "subdir", "/nodes/{node}/capabilities": "name", "/nodes/{node}/capabilities/qemu": "name", "/cluster/firewall": "name", "/cluster/ha": "id", "/cluster/ha/status": "name",
	"/nodes/{node}": "name", "/nodes/{node}/firewall": "name", vmPath: "subdir", vmPath + "/status": "subdir", vmPath + "/agent": "name",
	vmPath + "/snapshot/{snapname}": "cmd",
}

func indexRoutes() []routeRow {
	rows := []routeRow{{"GET", stPath, useStore, "", index(stPath, "subdir")}}
	for _, path := range sortedKeys(indexPages) {
		rows = append(rows, routeRow{"GET", path, "", "", index(path, indexPages[path])})
	}
	return rows
}

// index answers with the names of the parts that the table of routes has below a path.
func index(path, key string) func(*call) (any, error) {
	return func(*call) (any, error) {
		names := map[string]bool{}
		for _, r := range routeTable {
			below, ok := strings.CutPrefix(r.path, strings.TrimSuffix(path, "/")+"/")
			if name, _, _ := strings.Cut(below, "/"); ok && name != "" && !strings.HasPrefix(name, "{") {
				names[name] = true
			}
		}
		out := []any{}
		for _, name := range sortedKeys(names) {
			out = append(out, object{key: name})
		}
		return out, nil
	}
}
