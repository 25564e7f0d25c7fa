//! Curves of the history as an SVG: one panel for each quantity, in training and in evaluation together.

use std::fmt::Write;

use crate::state::Entry;

const PANEL: (f64, f64) = (380.0, 220.0);
/// Left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (64.0, 16.0, 34.0, 30.0);
const COLOURS: [&str; 2] = ["#0072b2", "#d55e00"];

/// The curves, two panels in a row; the same history gives the same bytes. Without numbers it is an empty picture.
pub fn svg(history: &[Entry]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in history.iter().flat_map(|entry| entry.keys()) {
        let other = ["step", "epoch", "loss", "eval_loss", "alarm"].contains(&name.as_str())
            || name.starts_with("roll")
            || name == "rate_scale";
        if !other && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut panels = vec![vec![("loss", COLOURS[0]), ("eval_loss", COLOURS[1])]];
    for name in &names {
        let measured = name.strip_prefix("eval_");
        if measured.is_some_and(|name| names.contains(&name)) {
            continue;
        }
        let mut panel = vec![(*name, COLOURS[usize::from(measured.is_some())])];
        let beside = names
            .iter()
            .find(|other| other.strip_prefix("eval_") == Some(name));
        panel.extend(beside.map(|beside| (*beside, COLOURS[1])));
        panels.push(panel);
    }
    let rows = panels.len().div_ceil(2);
    let (width, height) = (2.0 * PANEL.0, rows as f64 * PANEL.1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        let (x, y) = ((i % 2) as f64 * PANEL.0, (i / 2) as f64 * PANEL.1);
        draw(&mut out, history, panel, x, y);
    }
    out.push_str("</svg>\n");
    out
}

/// (step, value) of the entries that have a finite value of this name.
fn points(history: &[Entry], name: &str) -> Vec<(f64, f64)> {
    let number = |entry: &Entry, name: &str| entry.get(name)?.as_f64().filter(|x| x.is_finite());
    let point = |entry| Some((number(entry, "step")?, number(entry, name)?));
    history.iter().filter_map(point).collect()
}

fn draw(out: &mut String, history: &[Entry], panel: &[(&str, &str)], x: f64, y: f64) {
    let curves: Vec<_> = panel
        .iter()
        .map(|(name, colour)| (*name, *colour, points(history, name)))
        .filter(|(_, _, points)| !points.is_empty())
        .collect();
    let all = || curves.iter().flat_map(|(_, _, points)| points);
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let low = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return;
    }
    // A constant is a line in the middle.
    let (low, high) = if high > low {
        (low, high)
    } else {
        (low - low.abs().max(1e-9), high + high.abs().max(1e-9))
    };
    let (left, right, top, bottom) = MARGINS;
    let (w, h) = (PANEL.0 - left - right, PANEL.1 - top - bottom);
    let across = |step: f64| x + left + w * step / last;
    let up = |value: f64| y + top + h * (high - value) / (high - low);
    for i in 0..=4 {
        let value = low + (high - low) * f64::from(i) / 4.0;
        let (at, from, to) = (up(value), x + left, x + left + w);
        let _ = writeln!(
            out,
            "<path d=\"M{from:.1} {at:.1}H{to:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            from - 6.0,
            at + 4.0,
            short(value)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">step {}</text>",
        x + left + w,
        y + PANEL.1 - 12.0,
        last
    );
    let mut title = x + left;
    for (name, colour, points) in curves {
        let text = escaped(name);
        let _ = writeln!(
            out,
            "<text x=\"{title:.1}\" y=\"{:.1}\" fill=\"{colour}\" font-size=\"13\">{text}</text>",
            y + 20.0
        );
        title += 9.0 * name.len() as f64 + 12.0;
        let line: Vec<String> = points
            .iter()
            .map(|(step, value)| format!("{:.1},{:.1}", across(*step), up(*value)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            line.join(" ")
        );
        if let [(step, value)] = points[..] {
            let (cx, cy) = (across(step), up(value));
            let _ = writeln!(
                out,
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{short, svg};

    #[test]
    fn a_panel_for_each_quantity() {
        let history = serde_json::json!([
            {"epoch": 0.5, "grad_norm": 2.0, "learning_rate": 1e-5, "loss": 0.75, "step": 5},
            {"epoch": 1.0, "grad_norm": 1.0, "learning_rate": 5e-6, "loss": 0.25, "step": 10},
            {"epoch": 1.0, "eval_<a>": 0.5, "eval_grad_norm": 1.5, "eval_loss": 0.5, "step": 10},
            {"epoch": 1.0, "alarm": "long", "rolled_back_from": 3, "step": 10},
            {"epoch": 1.0, "loss": null, "step": 12}
        ]);
        let history: Vec<crate::state::Entry> = serde_json::from_value(history).expect("entries");
        let picture = svg(&history);
        // Losses at steps 5 and 10: from the top to the bottom of the first panel, at half and at the whole of its width.
        assert!(
            picture.contains("<polyline points=\"214.0,34.0 364.0,190.0\""),
            "{picture}"
        );
        assert!(
            picture.contains("<circle cx=\"364.0\" cy=\"112.0\""),
            "{picture}"
        );
        assert_eq!(picture.matches("<polyline").count(), 6);
        // Two rows: the norm in training and in evaluation are in one panel.
        assert!(picture.contains("height=\"440\""), "{picture}");
        assert!(picture.contains("eval_&lt;a&gt;") && !picture.contains("rolled"));
        assert_eq!(picture, svg(&history));
        assert!(svg(&[]).ends_with("</svg>\n"));
        assert_eq!(
            [0.0, 1e-5, 0.25, 12.5, 123.4].map(short),
            ["0.000", "1.00e-5", "0.250", "12.50", "123"]
        );
    }
}
