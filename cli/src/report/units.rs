//! Numbers as people read them.

use std::time::Duration;

/// `1 run`, `4 runs`
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `25,557,032`
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `4,065`, of slow ones `3.72`: something per second.
pub fn rate(per_second: f64) -> String {
    if per_second < 99.95 { significant(per_second) } else { grouped(per_second.round() as u64) }
}

/// `4.09 G`: three significant digits with a decimal prefix.
pub fn si(n: u64) -> String {
    let mut value = n as f64;
    for prefix in ["", " k", " M", " G", " T"] {
        if value < 999.5 {
            return format!("{}{prefix}", significant(value));
        }
        value /= 1000.0;
    }
    format!("{} P", significant(value))
}

/// `3.06 MiB`
pub fn bytes(n: usize) -> String {
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "B";
    for prefix in ["KiB", "MiB", "GiB", "TiB"] {
        value /= 1024.0;
        unit = prefix;
        if value < 1023.5 {
            break;
        }
    }
    format!("{} {unit}", significant(value))
}

/// `[height, width]` of images: `224`, or `224x192` where they are no squares.
pub fn side([height, width]: [usize; 2]) -> String {
    if height == width { height.to_string() } else { format!("{height}x{width}") }
}

/// `850 µs`, `12.3 ms`, `4.56 s`, `3m 07s`, `2h 05m`
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.9995e-3 => format!("{} µs", significant(s * 1e6)),
        s if s < 0.9995 => format!("{} ms", significant(s * 1e3)),
        s if s < 99.95 => format!("{} s", significant(s)),
        s if s < 3600.0 => format!("{}m {:02}s", time.as_secs() / 60, time.as_secs() % 60),
        _ => format!("{}h {:02}m", time.as_secs() / 3600, time.as_secs() / 60 % 60),
    }
}

/// The middle one, of an even number the later; `None` of none.
pub fn median(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied()
}

/// `64 x 56 x 56`
pub fn shape(dims: &[usize]) -> String {
    if dims.is_empty() {
        return "scalar".into();
    }
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn significant(value: f64) -> String {
    let decimals = match value {
        v if v >= 99.95 || v == v.trunc() => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, duration, grouped, si};

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(25_557_032), "25,557,032");
    }

    #[test]
    fn prefixes_change_before_rounding_reaches_the_next() {
        assert_eq!(si(999), "999");
        assert_eq!(si(999_600), "1.00 M");
        assert_eq!(si(4_089_184_256), "4.09 G");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(64), "64 B");
    }

    #[test]
    fn slow_rates_have_decimals() {
        assert_eq!(
            [4065.2, 99.96, 37.24, 3.718, 0.0].map(super::rate),
            ["4,065", "100", "37.2", "3.72", "0"]
        );
    }

    #[test]
    fn durations_choose_their_unit() {
        assert_eq!(duration(Duration::from_micros(850)), "850 µs");
        assert_eq!(duration(Duration::from_secs_f64(0.0123)), "12.3 ms");
        assert_eq!(duration(Duration::from_secs(187)), "3m 07s");
        assert_eq!(duration(Duration::from_secs(7500)), "2h 05m");
    }
}
