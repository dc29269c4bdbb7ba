package pvesim

// clusterRoutes are what the cluster as a whole answers.
var clusterRoutes = []routeRow{
	{"GET", "/version", "", "", (*call).version},
	{"GET", "/cluster/nextid", "", "vmid:vmid", (*call).nextID},
	{"GET", "/cluster/resources", "", "type:enum(vm,storage,node,sdn)", (*call).resources},
	{"GET", "/cluster/status", "/ Sys.Audit", "", (*call).clusterStatus},
	{"GET", "/cluster/tasks", "", "", (*call).clusterTasks},
	{"GET", "/cluster/options", "", "", (*call).datacenterOptions},
	{"PUT", "/cluster/options", "/ Sys.Modify", "+datacenter delete:configid-list", (*call).setDatacenterOptions},
	{"GET", "/pools", "", "poolid:poolid type:enum(qemu,lxc,storage)>poolid", (*call).poolList},
	{"POST", "/pools", "/pool/{poolid} Pool.Allocate", "comment:string poolid!:poolid", (*call).poolCreate},
	{"PUT", "/pools", "/pool/{poolid} Pool.Allocate", "+pool poolid!:poolid", (*call).poolUpdate},
	{"DELETE", "/pools", "/pool/{poolid} Pool.Allocate", "poolid!:poolid", (*call).poolDelete},
	{"GET", "/pools/{poolid}", "/pool/{poolid} Pool.Audit", "type:enum(qemu,lxc,storage)", (*call).poolShow},
	{"PUT", "/pools/{poolid}", "/pool/{poolid} Pool.Allocate", "+pool", (*call).poolUpdate},
	{"DELETE", "/pools/{poolid}", "/pool/{poolid} Pool.Allocate", "", (*call).poolDelete},
}

// nodeRoutes are what one node answers, but for its guests.
var nodeRoutes = []routeRow{
	{"GET", "/nodes", "", "", (*call).nodeList},
	{"GET", "/nodes/{node}/status", "/nodes/{node} Sys.Audit", "", (*call).nodeStatus},
	{"GET", "/nodes/{node}/version", "", "", (*call).version},
	{"GET", "/nodes/{node}/time", "/nodes/{node} Sys.Audit", "", (*call).nodeTime},
	{"GET", "/nodes/{node}/rrddata", "/nodes/{node} Sys.Audit", "cf:enum(AVERAGE,MAX) timeframe!:enum(hour,day,week,month,year,decade)", (*call).nodeHistory},
	{"GET", "/nodes/{node}/lxc", "", "", (*call).noContainers},
	{"GET", "/nodes/{node}/tasks", "", "errors:bool limit:int(0..) since:int source:enum(archive,active,all) start:int(0..) statusfilter:task-status typefilter:string until:int userfilter:string vmid:vmid", (*call).taskList},
	{"GET", "/nodes/{node}/tasks/{upid}", "", "", (*call).taskIndex},
	{"DELETE", "/nodes/{node}/tasks/{upid}", "", "", (*call).taskStop},
	{"GET", "/nodes/{node}/tasks/{upid}/status", "", "", (*call).taskStatus},
	{"GET", "/nodes/{node}/tasks/{upid}/log", "", "download:bool limit:int(0..) start:int(0..)", (*call).taskLog},
	{"GET", "/nodes/{node}/storage", "", "content:content-list enabled:bool format:bool storage:storage-id target:node", (*call).storageList},
	{"GET", stPath + "/status", useStore, "", (*call).storageStatus},
	{"GET", stPath + "/content", useStore, "content:content-list vmid:vmid", (*call).contentList},
	{"POST", stPath + "/content", "/storage/{storage} Datastore.AllocateSpace", "filename!:string format:enum(raw,qcow2,subvol,vmdk)>size size!:volume-size vmid!:vmid", (*call).contentCreate},
	{"GET", stPath + "/content/{volume}", "", "", (*call).contentShow},
	{"PUT", stPath + "/content/{volume}", "", "notes:string protected:bool", (*call).contentUpdate},
	{"DELETE", stPath + "/content/{volume}", "", "delay:int(1..30)", (*call).contentDelete},
	{"POST", "/nodes/{node}/vzdump", "", "+vzdump", (*call).vzdump},
	{"GET", "/nodes/{node}/vzdump/extractconfig", "", "volume!:string", (*call).backupConfig},
}
