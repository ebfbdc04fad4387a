//! `stop` belongs to the format: here only its words are held to the reader's keys.

use gonogo::kinds::{Bind, find};

#[test]
fn its_keys_are_the_formats() {
    let stop = find("stop").unwrap();
    assert!(matches!(stop.bind, Bind::Format));
    let keys = stop.params.iter().map(|param| param.name).collect::<Vec<_>>();
    assert_eq!(keys, ["question", "if_go", "if_no_go", "voters", "decides", "criteria"]);
}
