//! Metric math, worked out: numbers, time series and arrays of them, after "Metric math syntax and functions"
//! (CloudWatch user guide). Where a series has no sample at a time, the result has none either.

use std::collections::BTreeMap;

use super::parse::Expr;

/// Samples by the start of their period, in seconds.
pub(super) type Points = BTreeMap<i64, f64>;

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// S
    Number(f64),
    /// TS
    Series(Points),
    /// TS[], each with its label.
    Many(Vec<(String, Points)>),
}

/// What an expression can see.
pub(super) trait Scope {
    /// The result of another query.
    ///
    /// # Errors
    /// There is none, or it cannot be worked out.
    fn named(&self, id: &str) -> Result<Value, String>;
    /// All metrics of the request, with their labels; those whose id holds a text.
    fn metrics(&self, holding: &str) -> Vec<(String, Points)>;
    /// What a search finds.
    ///
    /// # Errors
    /// It is not a search.
    fn search(&self, text: &str, stat: &str, period: Option<i64>) -> Result<Vec<(String, Points)>, String>;
    /// Every period of the window.
    fn times(&self) -> Vec<i64>;
    /// Length of a period.
    fn period(&self) -> i64;
}

/// Works an expression out.
///
/// # Errors
/// In words: what does not fit, or is not known.
pub(super) fn value(expr: &Expr, scope: &dyn Scope) -> Result<Value, String> {
    match expr {
        Expr::Number(n) => Ok(Value::Number(*n)),
        Expr::Text(_) => Err("a text stands where a number or a metric has to".into()),
        Expr::Name(name) => scope.named(name),
        Expr::Unary(sign, inner) => {
            let sign = *sign;
            let apply = move |x: f64| if sign == '-' { -x } else { truth(x == 0.0) };
            Ok(each(value(inner, scope)?, |points| points.values_mut().for_each(|x| *x = apply(*x)), apply))
        }
        Expr::Binary(operator, a, b) => combine(operator, value(a, scope)?, value(b, scope)?),
        Expr::List(list) => {
            let mut many = Vec::new();
            for item in list {
                match value(item, scope)? {
                    Value::Series(points) => many.push((label_of(item), points)),
                    Value::Many(more) => many.extend(more),
                    Value::Number(_) => return Err("an array holds time series only".into()),
                }
            }
            Ok(Value::Many(many))
        }
        Expr::Call(name, args) => call(name, args, scope),
    }
}

fn label_of(expr: &Expr) -> String {
    if let Expr::Name(name) = expr { name.clone() } else { "expression".into() }
}

fn truth(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

/// Applies to every series, or to a number.
fn each(value: Value, mut series: impl FnMut(&mut Points), number: impl Fn(f64) -> f64) -> Value {
    match value {
        Value::Number(n) => Value::Number(number(n)),
        Value::Series(mut points) => {
            series(&mut points);
            Value::Series(points)
        }
        Value::Many(mut many) => {
            many.iter_mut().for_each(|(_, points)| series(points));
            Value::Many(many)
        }
    }
}

fn operate(operator: &str, a: f64, b: f64) -> f64 {
    match operator {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "^" => a.powf(b),
        "==" => truth(a == b),
        "!=" => truth(a != b),
        "<" => truth(a < b),
        "<=" => truth(a <= b),
        ">" => truth(a > b),
        ">=" => truth(a >= b),
        "&&" => truth(a != 0.0 && b != 0.0),
        _ => truth(a != 0.0 || b != 0.0),
    }
}

fn both(operator: &str, a: &Points, b: &Points) -> Points {
    let joined = a.iter().filter_map(|(at, x)| Some((*at, operate(operator, *x, *b.get(at)?))));
    // A division by zero has no value.
    joined.filter(|(_, x)| x.is_finite()).collect()
}

fn combine(operator: &str, a: Value, b: Value) -> Result<Value, String> {
    let right = |points: &mut Points, n: f64| {
        points.values_mut().for_each(|x| *x = operate(operator, *x, n));
        points.retain(|_, x| x.is_finite());
    };
    let left = |points: &mut Points, n: f64| {
        points.values_mut().for_each(|x| *x = operate(operator, n, *x));
        points.retain(|_, x| x.is_finite());
    };
    Ok(match (a, b) {
        (Value::Number(a), Value::Number(b)) => Value::Number(operate(operator, a, b)),
        (value, Value::Number(n)) => each(value, |points| right(points, n), |x| x),
        (Value::Number(n), value) => each(value, |points| left(points, n), |x| x),
        (value, Value::Series(b)) => each(value, |a| *a = both(operator, a, &b), |x| x),
        (Value::Series(a), value) => each(value, |b| *b = both(operator, &a, b), |x| x),
        (Value::Many(_), Value::Many(_)) => return Err(format!("two arrays do not go with `{operator}`")),
    })
}

fn call(name: &str, args: &[Expr], scope: &dyn Scope) -> Result<Value, String> {
    let wrong = || Err(format!("{name} does not take these arguments"));
    match (name, args) {
        ("METRICS", []) => Ok(Value::Many(scope.metrics(""))),
        ("METRICS", [Expr::Text(part)]) => Ok(Value::Many(scope.metrics(part))),
        ("SEARCH", [Expr::Text(text), Expr::Text(stat)]) => Ok(Value::Many(scope.search(text, stat, None)?)),
        ("SEARCH", [Expr::Text(text), Expr::Text(stat), Expr::Number(period)]) => {
            #[expect(clippy::cast_possible_truncation, reason = "a period is at most a day")]
            let period = *period as i64;
            Ok(Value::Many(scope.search(text, stat, Some(period))?))
        }
        ("IF", [condition, then]) => choose(value(condition, scope)?, &value(then, scope)?, None, scope),
        ("IF", [condition, then, other]) => {
            choose(value(condition, scope)?, &value(then, scope)?, Some(&value(other, scope)?), scope)
        }
        ("FILL", [series, with]) => {
            let with = match with {
                Expr::Name(word) if word == "REPEAT" => Fill::Repeat,
                Expr::Name(word) if word == "LINEAR" => Fill::Linear,
                other => match value(other, scope)? {
                    Value::Number(n) => Fill::Number(n),
                    Value::Series(points) => Fill::Series(points),
                    Value::Many(_) => return wrong(),
                },
            };
            let times = scope.times();
            Ok(each(value(series, scope)?, |points| with.fill(points, &times), |n| n))
        }
        ("TIME_SERIES", [number]) => match value(number, scope)? {
            Value::Number(n) => Ok(Value::Series(scope.times().into_iter().map(|at| (at, n)).collect())),
            _ => wrong(),
        },
        #[expect(clippy::cast_precision_loss, reason = "a period is at most a day")]
        ("PERIOD", [_]) => Ok(Value::Number(scope.period() as f64)),
        ("SUM" | "AVG" | "MIN" | "MAX" | "STDDEV" | "METRIC_COUNT" | "DATAPOINT_COUNT", [of]) => {
            reduce(name, value(of, scope)?)
        }
        ("FIRST" | "LAST", [of]) => match value(of, scope)? {
            Value::Many(mut many) if name == "FIRST" && !many.is_empty() => Ok(Value::Series(many.swap_remove(0).1)),
            Value::Many(mut many) => Ok(Value::Series(many.pop().map(|(_, points)| points).unwrap_or_default())),
            _ => wrong(),
        },
        ("REMOVE_EMPTY", [of]) => match value(of, scope)? {
            Value::Many(many) => Ok(Value::Many(many.into_iter().filter(|(_, points)| !points.is_empty()).collect())),
            _ => wrong(),
        },
        ("ABS" | "CEIL" | "FLOOR" | "LOG" | "LOG10", [of]) => {
            let apply = |x: f64| match name {
                "ABS" => x.abs(),
                "CEIL" => x.ceil(),
                "FLOOR" => x.floor(),
                "LOG" => x.ln(),
                _ => x.log10(),
            };
            let all = |points: &mut Points| {
                points.values_mut().for_each(|x| *x = apply(*x));
                points.retain(|_, x| x.is_finite());
            };
            Ok(each(value(of, scope)?, all, apply))
        }
        ("RATE" | "DIFF" | "RUNNING_SUM", [of]) => match value(of, scope)? {
            Value::Number(_) => wrong(),
            series => Ok(each(series, |points| *points = run(name, points), |n| n)),
        },
        (
            "METRICS" | "SEARCH" | "IF" | "FILL" | "TIME_SERIES" | "PERIOD" | "SUM" | "AVG" | "MIN" | "MAX" | "STDDEV"
            | "METRIC_COUNT" | "DATAPOINT_COUNT" | "FIRST" | "LAST" | "REMOVE_EMPTY" | "ABS" | "CEIL" | "FLOOR" | "LOG"
            | "LOG10" | "RATE" | "DIFF" | "RUNNING_SUM",
            _,
        ) => wrong(),
        _ => Err(format!("Unsupported function '{name}'")),
    }
}

/// From one sample to the next.
fn run(name: &str, points: &Points) -> Points {
    let mut sum = 0.0;
    let mut before: Option<(i64, f64)> = None;
    let mut out = Points::new();
    for (at, x) in points {
        sum += x;
        #[expect(clippy::cast_precision_loss, reason = "a difference of moments")]
        let result = match (name, before) {
            ("RUNNING_SUM", _) => Some(sum),
            ("DIFF", Some((_, was))) => Some(x - was),
            (_, Some((then, was))) => Some((x - was) / (at - then) as f64),
            (_, None) => None,
        };
        out.extend(result.map(|result| (*at, result)));
        before = Some((*at, *x));
    }
    out
}

/// Of an array a series, of a series a number.
fn reduce(name: &str, value: Value) -> Result<Value, String> {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let of = |values: &[f64]| {
        let n = values.len() as f64;
        let sum: f64 = values.iter().sum();
        match name {
            "SUM" => sum,
            "AVG" => sum / n,
            "MIN" => values.iter().copied().fold(f64::INFINITY, f64::min),
            "MAX" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "STDDEV" => (values.iter().map(|x| (x - sum / n).powi(2)).sum::<f64>() / n).sqrt(),
            _ => n,
        }
    };
    match value {
        Value::Number(_) => Err(format!("{name} takes time series")),
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        Value::Many(many) if name == "METRIC_COUNT" => Ok(Value::Number(many.len() as f64)),
        Value::Series(_) if name == "METRIC_COUNT" => Ok(Value::Number(1.0)),
        Value::Series(points) => Ok(Value::Number(of(&points.into_values().collect::<Vec<_>>()))),
        Value::Many(many) => {
            let mut at: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
            for (time, x) in many.iter().flat_map(|(_, points)| points) {
                at.entry(*time).or_default().push(*x);
            }
            Ok(Value::Series(at.into_iter().map(|(time, values)| (time, of(&values))).collect()))
        }
    }
}

/// `IF`: where the condition is not zero the one, else the other; without another one, nothing.
fn choose(condition: Value, then: &Value, other: Option<&Value>, scope: &dyn Scope) -> Result<Value, String> {
    if let Value::Number(n) = condition {
        let chosen = if n == 0.0 { other } else { Some(then) };
        return chosen.cloned().ok_or_else(|| "IF without a value where it is not so needs a time series".into());
    }
    let at = |value: &Value, time: i64| match value {
        Value::Number(n) => Some(*n),
        Value::Series(points) => points.get(&time).copied(),
        Value::Many(_) => None,
    };
    if matches!(then, Value::Many(_)) || matches!(other, Some(Value::Many(_))) {
        return Err("IF takes arrays only as its condition".into());
    }
    let times = scope.times();
    let pick = |points: &mut Points| {
        let chosen = times.iter().filter_map(|time| {
            let chosen = if *points.get(time)? == 0.0 { other? } else { then };
            Some((*time, at(chosen, *time)?))
        });
        *points = chosen.collect();
    };
    Ok(each(condition, pick, |n| n))
}

/// What stands where a sample is missing.
enum Fill {
    Number(f64),
    Series(Points),
    Repeat,
    Linear,
}

impl Fill {
    fn fill(&self, points: &mut Points, times: &[i64]) {
        let real = points.clone();
        for time in times.iter().filter(|time| !real.contains_key(time)) {
            let before = || real.range(..time).next_back();
            let after = || real.range(time..).next();
            #[expect(clippy::cast_precision_loss, reason = "differences of moments")]
            let value = match self {
                Self::Number(n) => Some(*n),
                Self::Series(other) => other.get(time).copied(),
                Self::Repeat => before().map(|(_, x)| *x),
                Self::Linear => before()
                    .zip(after())
                    .map(|((t0, x0), (t1, x1))| x0 + (x1 - x0) * (time - t0) as f64 / (t1 - t0) as f64),
            };
            points.extend(value.map(|value| (*time, value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse::parse, *};

    /// Four periods; `m1` has all samples, `m2` misses the second and the last, `none` all of them.
    struct Few;

    fn points(list: &[(i64, f64)]) -> Points {
        list.iter().copied().collect()
    }

    impl Scope for Few {
        fn named(&self, id: &str) -> Result<Value, String> {
            match id {
                "m1" => Ok(Value::Series(points(&[(0, 1.0), (60, 2.0), (120, 3.0), (180, 4.0)]))),
                "m2" => Ok(Value::Series(points(&[(0, 10.0), (120, 0.0)]))),
                "none" => Ok(Value::Series(Points::new())),
                _ => Err(format!("no {id}")),
            }
        }
        fn metrics(&self, holding: &str) -> Vec<(String, Points)> {
            let all = ["m1", "m2"].into_iter().filter(|id| id.contains(holding));
            let series = |id: &str| if let Ok(Value::Series(points)) = self.named(id) { points } else { Points::new() };
            all.map(|id| (id.to_owned(), series(id))).collect()
        }
        fn search(&self, _: &str, _: &str, _: Option<i64>) -> Result<Vec<(String, Points)>, String> {
            Ok(Vec::new())
        }
        fn times(&self) -> Vec<i64> {
            vec![0, 60, 120, 180]
        }
        fn period(&self) -> i64 {
            60
        }
    }

    fn of(text: &str) -> Value {
        value(&parse(text).unwrap(), &Few).unwrap_or_else(|no| panic!("{text}: {no}"))
    }

    fn series(text: &str) -> Vec<(i64, f64)> {
        if let Value::Series(points) = of(text) {
            points.into_iter().collect()
        } else {
            panic!("{text}: {:?}", of(text))
        }
    }

    #[test]
    fn arithmetic_leaves_out_what_is_missing() {
        assert_eq!(series("m1 + m2"), [(0, 11.0), (120, 3.0)]);
        assert_eq!(series("100 * m1 / m2"), [(0, 10.0)], "nothing is divided by zero");
        assert_eq!(series("m1 ^ 2 - 1"), [(0, 0.0), (60, 3.0), (120, 8.0), (180, 15.0)]);
        assert_eq!(series("-m2"), [(0, -10.0), (120, 0.0)]);
        assert_eq!(series("m1 > 2 && m1 < 4"), [(0, 0.0), (60, 0.0), (120, 1.0), (180, 0.0)]);
        assert_eq!(of("2 * (3 + 4)"), Value::Number(14.0));
    }

    #[test]
    fn gaps_are_filled_as_asked() {
        assert_eq!(series("FILL(m2, 7)"), [(0, 10.0), (60, 7.0), (120, 0.0), (180, 7.0)]);
        assert_eq!(series("FILL(m2, REPEAT)"), [(0, 10.0), (60, 10.0), (120, 0.0), (180, 0.0)]);
        assert_eq!(series("FILL(m2, LINEAR)"), [(0, 10.0), (60, 5.0), (120, 0.0)]);
        assert_eq!(series("FILL(m2, m1)"), [(0, 10.0), (60, 2.0), (120, 0.0), (180, 4.0)]);
        assert_eq!(series("100 * FILL(none, 0) / m1").len(), 4);
    }

    #[test]
    fn functions_of_arrays_and_series() {
        assert_eq!(series("SUM(METRICS())"), [(0, 11.0), (60, 2.0), (120, 3.0), (180, 4.0)]);
        assert_eq!(series("MAX([m1, m2])")[0], (0, 10.0));
        assert_eq!(series("AVG(METRICS(\"2\"))"), [(0, 10.0), (120, 0.0)]);
        assert_eq!(of("SUM(m1)"), Value::Number(10.0));
        assert_eq!(of("MIN(m1) + METRIC_COUNT(METRICS())"), Value::Number(3.0));
        assert_eq!(series("IF(m1 > 2, m1, 0)"), [(0, 0.0), (60, 0.0), (120, 3.0), (180, 4.0)]);
        assert_eq!(series("IF(m1 > 2, m2)"), [(120, 0.0)]);
        assert_eq!(series("RATE(m1) * PERIOD(m1)"), [(60, 1.0), (120, 1.0), (180, 1.0)]);
        assert_eq!(series("RUNNING_SUM(m1)")[3], (180, 10.0));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (text, words) in [
            ("FOO(m1)", "Unsupported function 'FOO'"),
            ("m3", "no m3"),
            ("SUM(1)", "SUM takes time series"),
            ("METRICS() + METRICS()", "two arrays"),
            ("FILL(m1)", "FILL does not take these arguments"),
            ("'x' + 1", "a text"),
        ] {
            let no = value(&parse(text).unwrap(), &Few).unwrap_err();
            assert!(no.contains(words), "{text}: {no}");
        }
    }
}
