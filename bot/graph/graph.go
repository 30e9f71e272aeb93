// Package graph draws a container's recorded figures as a picture.
package graph

import (
	"fmt"
	"time"

	"github.com/go-analyze/charts"

	"github.com/pvechat/pvechat/proxmox"
)

// Size of a picture, in pixels: a phone shows it whole, and can still be read.
const (
	width  = 900
	height = 780
)

// Draw draws CPU, memory and network of a container over time, as a PNG. Where
// nothing was measured, the lines have gaps. The times are written in zone.
func Draw(samples []proxmox.Sample, t proxmox.Timeframe, zone *time.Location) ([]byte, error) {
	layout := "15:04"
	if t == proxmox.Week {
		layout = "Mon 2"
	}
	gap := charts.GetNullValue()
	times := make([]string, len(samples))
	series := map[string][]float64{}
	for i, s := range samples {
		times[i] = s.Time.In(zone).Format(layout)
		for name, v := range map[string]float64{
			"cpu": 100 * s.CPU, "mem": ratio(s.Mem, s.MaxMem), "in": s.NetIn / 1024, "out": s.NetOut / 1024,
		} {
			if !s.Measured {
				v = gap
			}
			series[name] = append(series[name], v)
		}
	}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputPNG, Width: width, Height: height, Theme: theme()})
	p.FilledRect(0, 0, width, height, theme().GetBackgroundColor(), charts.ColorTransparent, 0)
	for i, c := range []struct {
		title  string
		lines  []string
		legend []string
		most   float64 // of the axis; 0: what there is
	}{
		{"CPU, % of its cores", []string{"cpu"}, nil, 100},
		{"Memory, % of its limit", []string{"mem"}, nil, 100},
		{"Network, KiB/s · times in " + zone.String(), []string{"in", "out"}, []string{"in", "out"}, 0},
	} {
		third := p.Child(charts.PainterBoxOption(charts.NewBox(0, i*height/3, width, (i+1)*height/3)))
		if err := third.LineChart(lineOption(c.title, times, pick(series, c.lines), c.legend, c.most)); err != nil {
			return nil, fmt.Errorf("graph: %s: %w", c.title, err)
		}
	}
	b, err := p.Bytes()
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	return b, nil
}

func lineOption(title string, times []string, lines [][]float64, legend []string, most float64) charts.LineChartOption {
	o := charts.NewLineChartOptionWithData(lines)
	o.Theme = theme()
	o.Title.Text = title
	o.Title.FontStyle.FontSize = 13
	o.Legend.SeriesNames = legend
	o.Padding = charts.NewBoxEqual(14)
	o.XAxis.Labels = times
	o.XAxis.LabelCount = 7
	o.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	o.LineStrokeWidth = 2
	o.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), LabelCount: 5, ValueFormatter: whole}}
	if most > 0 {
		o.YAxis[0].Max = charts.Ptr(most)
	}
	return o
}

// theme is dark, and has no red: that means trouble everywhere else.
func theme() charts.ColorPalette {
	return charts.GetTheme(charts.ThemeVividDark).WithSeriesColors([]charts.Color{{R: 0x5b, G: 0x9c, B: 0xf5, A: 255}, {R: 0xf0, G: 0xb1, B: 0x32, A: 255}})
}

func pick(series map[string][]float64, names []string) [][]float64 {
	var out [][]float64
	for _, n := range names {
		out = append(out, series[n])
	}
	return out
}

func ratio(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100*float64(part)/float64(whole), 100)
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }
