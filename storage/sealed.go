package storage

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/storage/seal"
)

type sealedRow struct {
	bun.BaseModel `bun:"table:sealed,alias:s"`

	Table  text   `bun:"table_name,pk"`
	Row    text   `bun:"row_id,pk"`
	Column text   `bun:"column_name,pk"`
	Value  []byte `bun:"value,notnull"`
}

func rowOfSealed(at seal.Cell, value []byte) sealedRow {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	return sealedRow{Table: text(at.Table), Row: text(at.Row), Column: text(at.Column), Value: value}
}

var (
	_ seal.Store       = (*DB)(nil)
	_ seal.VaultStore  = (*DB)(nil)
	_ seal.RotateStore = (*DB)(nil)
)

// PutSealed stores the sealed value of a cell, in the place of an older one.
func (db *DB) PutSealed(ctx context.Context, at seal.Cell, value []byte) error {
	row := rowOfSealed(at, value)
	_, err := db.bun.NewInsert().Model(&row).
		On("CONFLICT (table_name, row_id, column_name) DO UPDATE").
		Set("value = EXCLUDED.value").
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: storing the sealed %s: %w", at, err)
	}
	return nil
}

// AddSealed stores the sealed value of a cell that has none, and reports
// whether it did.
func (db *DB) AddSealed(ctx context.Context, at seal.Cell, value []byte) (bool, error) {
	row := rowOfSealed(at, value)
	n, err := changed(db.bun.NewInsert().Model(&row).
		On("CONFLICT (table_name, row_id, column_name) DO NOTHING").
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: storing the sealed %s: %w", at, err)
	}
	return n == 1, nil
}

// Sealed returns the sealed value of a cell, and whether it has one.
func (db *DB) Sealed(ctx context.Context, at seal.Cell) ([]byte, bool, error) {
	row, found, err := one[sealedRow](ctx, db.bun.NewSelect().
		Where("table_name = ?", text(at.Table)).
		Where("row_id = ?", text(at.Row)).
		Where("column_name = ?", text(at.Column)))
	if err != nil {
		return nil, false, fmt.Errorf("storage: reading the sealed %s: %w", at, err)
	}
	return row.Value, found, nil
}

// DropSealed removes the sealed value of a cell, if it has one.
func (db *DB) DropSealed(ctx context.Context, at seal.Cell) error {
	_, err := db.bun.NewDelete().Model((*sealedRow)(nil)).
		Where("table_name = ?", text(at.Table)).
		Where("row_id = ?", text(at.Row)).
		Where("column_name = ?", text(at.Column)).
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: removing the sealed %s: %w", at, err)
	}
	return nil
}

// SealedRow returns the sealed values of a row by column.
func (db *DB) SealedRow(ctx context.Context, table, row string) (map[string][]byte, error) {
	values := map[string][]byte{}
	err := db.eachSealed(ctx, func(at seal.Cell, value []byte) error {
		values[at.Column] = value
		return nil
	}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("table_name = ?", text(table)).Where("row_id = ?", text(row))
	})
	return values, err
}

// AllSealed calls each for every sealed value.
func (db *DB) AllSealed(ctx context.Context, each func(at seal.Cell, value []byte) error) error {
	return db.eachSealed(ctx, each, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}

func (db *DB) eachSealed(ctx context.Context, each func(seal.Cell, []byte) error, which func(*bun.SelectQuery) *bun.SelectQuery) error {
	var rows []sealedRow
	err := which(db.bun.NewSelect().Model(&rows)).Order("table_name", "row_id", "column_name").Scan(ctx)
	if err != nil {
		return fmt.Errorf("storage: reading sealed values: %w", err)
	}
	for _, r := range rows {
		if err := each(seal.Cell{Table: string(r.Table), Row: string(r.Row), Column: string(r.Column)}, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// AuditCodes counts the lines of the audit whose codes a key made.
func (db *DB) AuditCodes(ctx context.Context, key uint32) (int64, error) {
	// What Tink puts before a code, as far as base64 shows it whole.
	prefix := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32([]byte{1}, key))[:6]
	n, err := db.bun.NewSelect().Model((*auditRow)(nil)).
		Where("substr(mac, 1, ?) = ?", int64(len(keyed+prefix)), keyed+prefix).
		Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("storage: counting codes of the audit: %w", err)
	}
	return n, nil
}
