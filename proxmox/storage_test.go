package proxmox

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVolumesOfAContainer(t *testing.T) {
	n := &network{hosts: map[string]host{"pve1": always(ok(`{"data":[
		{"volid":"tank:subvol-101-disk-7","content":"rootdir","format":"subvol","size":"8589934592","vmid":"101"},
		{"volid":"tank:subvol-101-disk-1","content":"rootdir","format":"subvol","size":1073741824,"vmid":101}]}`))}}
	got, err := n.client(t, "pve1").Volumes(t.Context(), ct101, "tank")
	if err != nil {
		t.Fatal(err)
	}
	want := []Volume{{"tank:subvol-101-disk-1", "tank", 1 << 30}, {"tank:subvol-101-disk-7", "tank", 8 << 30}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n.log() != "pve1 GET /api2/json/nodes/pve1/storage/tank/content?content=rootdir&vmid=101" {
		t.Error(n.log())
	}
	for _, name := range []string{"", "../x", "a/b", "-a"} {
		if _, err := n.client(t, "pve1").Volumes(t.Context(), ct101, name); !NotSent(err) {
			t.Errorf("storage %q was asked for: %v", name, err)
		}
	}
}

func TestDiskStoragesThatCanBeReached(t *testing.T) {
	n := &network{hosts: map[string]host{"pve1": always(ok(`{"data":[
		{"storage":"tank","active":1,"enabled":1},{"storage":"nfs","active":0},{"storage":"local-lvm","active":"1"}]}`))}}
	got, err := n.client(t, "pve1").DiskStorages(t.Context(), "pve1")
	if diff := cmp.Diff([]string{"local-lvm", "tank"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestQuorate(t *testing.T) {
	for data, want := range map[string]bool{
		`[{"type":"node","online":1}]`:                                     true, // no cluster
		`[{"type":"cluster","quorate":1,"nodes":2},{"type":"node"}]`:       true,
		`[{"type":"node"},{"type":"cluster","quorate":"0","name":"home"}]`: false,
	} {
		n := &network{hosts: map[string]host{"pve1": always(ok(`{"data":` + data + `}`))}}
		if got, err := n.client(t, "pve1").Quorate(t.Context()); got != want || err != nil {
			t.Errorf("%s: %v, %v", data, got, err)
		}
	}
}
