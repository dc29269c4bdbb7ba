"""Carries a VM through its life with proxmoxer, the public Python client of Proxmox VE's API.

Usage: proxmoxer_life.py HOST PORT CA_FILE TOKEN_SECRET PASSWORD
The token is root@pam!sim, the password is that of root@pam. Ends with 0 when every answer is as expected.
"""
import sys
import time

from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException

host, port, ca_file, secret, password = sys.argv[1:6]


def connect(**who):
    return ProxmoxAPI(host, port=int(port), verify_ssl=ca_file, timeout=10, **who)


def finished(api, upid):
    task = api.nodes(upid.split(":")[1]).tasks(upid)
    status = {"status": "running"}
    until = time.monotonic() + 10
    while status["status"] == "running" and time.monotonic() < until:
        status = task.status.get()
    assert status.get("exitstatus") == "OK", status
    assert task.log.get()[-1]["t"] == "TASK OK"


def refused(call, code, text):
    try:
        call()
    except ResourceException as e:
        assert e.status_code == code and text in str(e), e
        return
    raise AssertionError("not refused: " + text)


api = connect(user="root@pam", token_name="sim", token_value=secret)
assert api.version.get()["version"].startswith("9.")
assert [n["node"] for n in api.nodes.get()] == ["pve1", "pve2", "pve3"]
node = api.nodes("pve1")

# A template made by hand, and a machine from it.
finished(api, node.qemu.post(vmid=9100, name="base", memory=512, scsihw="virtio-scsi-single", scsi0="shared1:2", ide2="shared1:cloudinit", net0="virtio,bridge=vmbr0", agent="1"))
finished(api, node.qemu(9100).template.post())
vmid = int(api.cluster.nextid.get())
finished(api, node.qemu(9100).clone.post(newid=vmid, name="one", full=1, storage="shared1", format="qcow2"))
vm = node.qemu(vmid)
vm.config.put(cores=2, memory=1024, ciuser="x", ipconfig0="ip=dhcp")
config = vm.config.get()
assert config["cores"] == 2 and config["memory"] == "1024" and config["name"] == "one", config
refused(lambda: vm.config.put(cores=4, digest="0" * 40), 500, "checksum mismatch")
refused(lambda: vm.config.put(cores="x"), 400, "Parameter verification failed.")
finished(api, vm.resize.put(disk="scsi0", size="10G"))

# Firewall.
vm.firewall.rules.post(type="in", action="ACCEPT", proto="tcp", dport="22", enable=1)
assert vm.firewall.rules.get()[0]["dport"] == "22"
vm.firewall.ipset.post(name="ipfilter-net0")
vm.firewall.ipset("ipfilter-net0").post(cidr="192.0.2.1")
vm.firewall.ipset("ipfilter-net0")("192.0.2.1").delete()
vm.firewall.ipset("ipfilter-net0").delete()

# Power, agent, snapshots, migration, backup.
finished(api, vm.status.start.post())
assert vm.status.current.get()["status"] == "running"
assert vm.agent("get-host-name").get()["result"]["host-name"] == "one"
finished(api, vm.snapshot.post(snapname="s1"))
assert [s["name"] for s in vm.snapshot.get()] == ["s1", "current"]
finished(api, vm.snapshot("s1").delete())
finished(api, vm.migrate.post(target="pve2", online=1))
vm = api.nodes("pve2").qemu(vmid)
finished(api, api.nodes("pve2").vzdump.post(vmid=vmid, storage="shared1"))
backups = api.nodes("pve2").storage("shared1").content.get(content="backup", vmid=vmid)
assert len(backups) == 1, backups
finished(api, api.nodes("pve2").storage("shared1").content(backups[0]["volid"]).delete())
finished(api, vm.status.shutdown.post(timeout=10))
finished(api, vm.delete(purge=1))
refused(lambda: vm.status.current.get(), 500, "does not exist")

# Access, by ticket and CSRF token.
root = connect(user="root@pam", password=password)
root.access.groups.post(groupid="staff")
root.access.users.post(userid="u1@pve", password="hello-123", groups="staff")
root.access.roles.post(roleid="look", privs="VM.Audit")
root.access.acl.put(path="/vms", roles="look", groups="staff")
u1 = connect(user="u1@pve", password="hello-123")
assert [r["vmid"] for r in u1.cluster.resources.get(type="vm")] == [9000, 9100]
refused(lambda: u1.nodes("pve1").qemu(9100).status.start.post(), 403, "Permission check failed (/vms/9100, VM.PowerMgmt)")
token = root.access.users("u1@pve").token("t1").post(privsep=0)
assert connect(user="u1@pve", token_name="t1", token_value=token["value"]).version.get()
root.access.users("u1@pve").delete()
refused(lambda: root.access.users("u1@pve").get(), 500, "no such user")
print("ok")
