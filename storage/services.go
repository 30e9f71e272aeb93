package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/proxmox/guest"
)

type scanRow struct {
	bun.BaseModel `bun:"table:scans,alias:sc"`

	ContainerID  text   `bun:"container_id,pk"`
	ClaimedUntil moment `bun:"claimed_until"`
	TriedAt      moment `bun:"tried_at"`
	CheckedAt    moment `bun:"checked_at"`
	TookMS       int64  `bun:"took_ms,notnull"`
	Problem      text   `bun:"problem,notnull"`
	Detail       text   `bun:"detail,notnull"`
	HostKey      text   `bun:"host_key,notnull"`
	Addrs        text   `bun:"addrs,notnull"`
	Missing      text   `bun:"missing,notnull"`
	More         int64  `bun:"more,notnull"`
}

type serviceRow struct {
	bun.BaseModel `bun:"table:services,alias:sv"`

	ContainerID text   `bun:"container_id,pk"`
	Key         text   `bun:"key,pk"`
	Kind        text   `bun:"kind,notnull"`
	Unit        text   `bun:"unit,notnull"`
	Name        text   `bun:"name,notnull"`
	State       text   `bun:"state,notnull"`
	System      bool   `bun:"system,notnull"`
	Ports       text   `bun:"ports,notnull"`
	Since       moment `bun:"since"`
	GoneAt      moment `bun:"gone_at"`
}

// portJSON is a port in the column ports.
type portJSON struct {
	Addr netip.Addr `json:"addr"`
	Port uint16     `json:"port"`
	Web  string     `json:"web,omitempty"`
	Web6 bool       `json:"web6,omitempty"`
}

// list is v as a JSON array, also when it is nil.
func list[T any](v []T) (text, error) {
	if v == nil {
		v = []T{}
	}
	b, err := json.Marshal(v)
	return text(b), err
}

func rowOfScan(r services.Report) (scanRow, error) {
	addrs, err := list(r.Addrs)
	if err != nil {
		return scanRow{}, err
	}
	missing, err := list(r.Missing)
	return scanRow{
		ContainerID: text(r.Container), TriedAt: moment{r.TriedAt}, CheckedAt: moment{r.CheckedAt}, TookMS: r.Took.Milliseconds(),
		Problem: text(r.Problem), Detail: text(r.Detail), HostKey: text(r.HostKey), Addrs: addrs, Missing: missing, More: int64(r.More),
	}, err
}

func (r scanRow) report() services.Report {
	out := services.Report{
		Container: inventory.ID(r.ContainerID), TriedAt: r.TriedAt.Time, CheckedAt: r.CheckedAt.Time, Took: time.Duration(r.TookMS) * time.Millisecond,
		Problem: guest.Kind(r.Problem), Detail: string(r.Detail), HostKey: string(r.HostKey), More: int(r.More),
	}
	// What is no JSON any more must not take the report with it.
	_ = json.Unmarshal([]byte(r.Addrs), &out.Addrs)
	_ = json.Unmarshal([]byte(r.Missing), &out.Missing)
	return out
}

func rowOfService(id inventory.ID, s services.Service) (serviceRow, error) {
	ports := make([]portJSON, len(s.Ports))
	for i, p := range s.Ports {
		ports[i] = portJSON{p.Addr, p.Port, p.Web, p.Web6}
	}
	b, err := list(ports)
	return serviceRow{
		ContainerID: text(id), Key: text(s.Key()), Kind: text(s.Kind), Unit: text(s.Unit), Name: text(s.Name), State: text(s.State),
		System: s.System, Ports: b, Since: moment{s.Since}, GoneAt: moment{s.GoneAt},
	}, err
}

func (r serviceRow) service() services.Service {
	s := services.Service{
		Service: guest.Service{
			Kind: guest.ServiceKind(r.Kind), Unit: string(r.Unit), Name: string(r.Name), State: guest.ServiceState(r.State), System: r.System,
		},
		Since: r.Since.Time, GoneAt: r.GoneAt.Time,
	}
	var ports []portJSON
	_ = json.Unmarshal([]byte(r.Ports), &ports)
	for _, p := range ports {
		s.Ports = append(s.Ports, guest.Port{Addr: p.Addr, Port: p.Port, Web: p.Web, Web6: p.Web6})
	}
	return s
}

var (
	_ services.Store = (*DB)(nil)
	_ guest.HostKeys = (*DB)(nil)
)

// Reports returns the reports of all scans that were tried after a time, zero:
// of all.
func (db *DB) Reports(ctx context.Context, after time.Time) ([]services.Report, error) {
	var scans []scanRow
	q := db.bun.NewSelect().Model(&scans).Where("tried_at IS NOT NULL")
	if !after.IsZero() {
		q = q.Where("tried_at > ?", moment{after})
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading scans: %w", err)
	}
	if len(scans) == 0 {
		return nil, nil
	}
	ids := make([]text, len(scans))
	reports := make([]services.Report, len(scans))
	at := map[inventory.ID]*services.Report{}
	for i, s := range scans {
		ids[i], reports[i] = s.ContainerID, s.report()
		at[reports[i].Container] = &reports[i]
	}
	var rows []serviceRow
	q = db.bun.NewSelect().Model(&rows).Order("container_id", "key")
	if !after.IsZero() {
		q = q.Where("container_id IN (?)", bun.List(ids))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading services: %w", err)
	}
	for _, r := range rows {
		if rep := at[inventory.ID(r.ContainerID)]; rep != nil {
			rep.Services = append(rep.Services, r.service())
		}
	}
	return reports, nil
}

// ClaimScan reports whether the caller may scan the container: no other has
// claimed that for now, and none has tried since.
func (db *DB) ClaimScan(ctx context.Context, id inventory.ID, lease time.Duration, since time.Time) (bool, error) {
	row := scanRow{ContainerID: text(id), Addrs: "[]", Missing: "[]"}
	n, err := changed(db.bun.NewInsert().Model(&row).
		Value("claimed_until", "?", db.engine.in(lease)).
		On("CONFLICT (container_id) DO UPDATE").
		Set("claimed_until = EXCLUDED.claimed_until").
		Where("sc.claimed_until IS NULL OR sc.claimed_until <= ?", db.engine.in(0)).
		Where("sc.tried_at IS NULL OR sc.tried_at < ?", moment{since}).
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: claiming a scan: %w", err)
	}
	return n == 1, nil
}

// SaveScan writes a report, of its services those to write and to remove, and
// ends the claim.
func (db *DB) SaveScan(ctx context.Context, r services.Report, write []services.Service, remove []string) error {
	scan, err := rowOfScan(r)
	if err != nil {
		return fmt.Errorf("storage: saving a scan: %w", err)
	}
	rows := make([]serviceRow, len(write))
	for i, s := range write {
		if rows[i], err = rowOfService(r.Container, s); err != nil {
			return fmt.Errorf("storage: saving a scan: %w", err)
		}
	}
	err = db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&scan).
			On("CONFLICT (container_id) DO UPDATE").
			Set("claimed_until = EXCLUDED.claimed_until").
			Set("tried_at = EXCLUDED.tried_at").
			Set("checked_at = EXCLUDED.checked_at").
			Set("took_ms = EXCLUDED.took_ms").
			Set("problem = EXCLUDED.problem").
			Set("detail = EXCLUDED.detail").
			Set("host_key = EXCLUDED.host_key").
			Set("addrs = EXCLUDED.addrs").
			Set("missing = EXCLUDED.missing").
			Set("more = EXCLUDED.more").
			Exec(ctx)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			_, err := tx.NewInsert().Model(&rows).
				On("CONFLICT (container_id, key) DO UPDATE").
				Set("kind = EXCLUDED.kind").
				Set("unit = EXCLUDED.unit").
				Set("name = EXCLUDED.name").
				Set("state = EXCLUDED.state").
				Set("system = EXCLUDED.system").
				Set("ports = EXCLUDED.ports").
				Set("since = EXCLUDED.since").
				Set("gone_at = EXCLUDED.gone_at").
				Exec(ctx)
			if err != nil {
				return err
			}
		}
		if len(remove) == 0 {
			return nil
		}
		keys := make([]text, len(remove))
		for i, k := range remove {
			keys[i] = text(k)
		}
		_, err = tx.NewDelete().Model((*serviceRow)(nil)).
			Where("container_id = ?", text(r.Container)).
			Where("key IN (?)", bun.List(keys)).
			Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("storage: saving a scan: %w", err)
	}
	return nil
}

type hostKeyRow struct {
	bun.BaseModel `bun:"table:host_keys,alias:hk"`

	ContainerID text   `bun:"container_id,pk"`
	Key         text   `bun:"key,pk"`
	AcceptedAt  moment `bun:"accepted_at,notnull"`
	AcceptedBy  text   `bun:"accepted_by,notnull"`
}

// HostKeys returns the host keys that were accepted for a container.
func (db *DB) HostKeys(ctx context.Context, container string) ([]string, error) {
	var rows []hostKeyRow
	err := db.bun.NewSelect().Model(&rows).Where("container_id = ?", text(container)).Order("accepted_at").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("storage: reading host keys: %w", err)
	}
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = string(r.Key)
	}
	return keys, nil
}

// AcceptHostKey makes key the one and only host key of a container.
func (db *DB) AcceptHostKey(ctx context.Context, id inventory.ID, key, by string, at time.Time) error {
	row := hostKeyRow{ContainerID: text(id), Key: text(key), AcceptedAt: moment{at}, AcceptedBy: text(by)}
	err := db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*hostKeyRow)(nil)).Where("container_id = ?", row.ContainerID).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("storage: accepting a host key: %w", err)
	}
	return nil
}
