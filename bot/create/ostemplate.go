package create

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
)

// OSTemplate is a file that is to be downloaded to storages, or removed from
// them.
type OSTemplate struct {
	Cluster string         `json:"cluster"`
	File    string         `json:"file"`
	Copies  []catalog.Copy `json:"copies"` // where it is to be, or not to be
}

// ID stands for the OS template where jobs name a container: one is open at a
// time.
func (t OSTemplate) ID() inventory.ID { return inventory.ID("os:" + catalog.Key(t.Cluster, t.File)) }

// Target is the OS template as a job's target.
func (t OSTemplate) Target() *inventory.Container {
	c := &inventory.Container{Record: inventory.Record{ID: t.ID(), Cluster: t.Cluster, Hostname: t.File}}
	if len(t.Copies) > 0 {
		c.Node = t.Copies[0].Node
	}
	return c
}

// String is the OS template as a job keeps it.
func (t OSTemplate) String() string {
	b, _ := json.Marshal(t) // plain data
	return string(b)
}

// ParseOSTemplate reads what String wrote.
func ParseOSTemplate(text string) (OSTemplate, error) {
	var t OSTemplate
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return OSTemplate{}, fmt.Errorf("create: an OS template that cannot be read: %w", err)
	}
	return t, nil
}

// Transfer goes on with a download or a removal, to its end. What is there
// already is not downloaded, what is gone is not removed.
func (c *Creator) Transfer(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string) {
	t, err := ParseOSTemplate(j.Spec)
	if err != nil {
		return jobs.Failed, err.Error()
	}
	r := &run{Creator: c, job: j, save: save, pve: c.cfg.Clusters[j.Cluster], p: ParseProgress(j.Progress)}
	if r.pve == nil {
		return jobs.Failed, "cluster " + j.Cluster + " is not configured any more"
	}
	if len(r.p.Steps) == 0 {
		for _, at := range t.Copies {
			r.p.Steps = append(r.p.Steps, Step{Kind: Template, Name: at.Storage() + " of " + at.Node})
		}
	}
	for i := r.p.At(); i < len(r.p.Steps) && i < len(t.Copies); i++ {
		s := &r.p.Steps[i]
		if s.Began.IsZero() {
			s.Began, r.p.Lines = c.cfg.Now(), nil
		}
		r.job.Node = t.Copies[i].Node
		err := r.keep(ctx)
		if !errors.Is(err, jobs.ErrFenced) {
			err = r.transfer(ctx, t.Copies[i])
		}
		if ctx.Err() != nil || errors.Is(err, jobs.ErrFenced) {
			return jobs.Failed, "" // the next process goes on
		}
		s.Ended = c.cfg.Now()
		r.p.UPID, r.p.SubmittedAt = "", time.Time{}
		if err != nil {
			s.Error = jobs.Reason(err)
		}
		if kept := r.keep(ctx); errors.Is(kept, jobs.ErrFenced) {
			return jobs.Failed, ""
		}
		if err != nil {
			c.cfg.Catalog.Refresh(ctx, j.Cluster)
			return jobs.Failed, s.Name + ": " + s.Error
		}
	}
	c.cfg.Catalog.Refresh(ctx, j.Cluster) // that everybody sees it now
	return jobs.Succeeded, ""
}

// transfer brings one copy there, or away.
func (r *run) transfer(ctx context.Context, at catalog.Copy) error {
	file := catalog.File(at.Volume)
	if r.p.UPID == "" && r.p.SubmittedAt.IsZero() {
		list, err := r.pve.OSTemplates(ctx, at.Node, at.Storage())
		if err != nil {
			return err
		}
		there := slices.ContainsFunc(list, func(v proxmox.Volume) bool { return v.ID == at.Volume })
		if there == (r.job.Action == jobs.Download) {
			return nil
		}
	}
	if r.job.Action == jobs.Remove {
		return r.task(ctx, proxmox.TaskFilter{Type: "imgdel"}, nil, func(ctx context.Context) (proxmox.UPID, error) {
			return r.pve.Remove(ctx, at.Node, proxmox.Volume{ID: at.Volume, Storage: at.Storage()})
		})
	}
	return r.task(ctx, proxmox.TaskFilter{Type: "download"}, func(t proxmox.Task) bool { return t.ID == file }, func(ctx context.Context) (proxmox.UPID, error) {
		return r.pve.Download(ctx, at.Node, at.Storage(), file)
	})
}
