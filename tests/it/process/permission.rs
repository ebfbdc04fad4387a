//! A refused permission as people meet it on the screen: the step holds, and the sheet says what is missing.

use gonogo::sandbox::Policy;

use super::{Home, keys::Pty};

/// Everything that the example of `ecs.deploy` needs, but to change the service.
const POLICY: &str = r#"{ "Version": "2012-10-17", "Statement": [
    { "Sid": "Reads", "Effect": "Allow", "Action": ["ecs:Describe*", "ecs:ListTasks"], "Resource": "*" }
] }"#;

#[test]
fn the_sheet_names_the_missing_permission() {
    POLICY.parse::<Policy>().unwrap();
    let home = Home::new();
    let example = gonogo::kinds::find("ecs.deploy").unwrap().example;
    let env = "kind = \"sandbox\"\nsandbox = { policy = \"policy.json\" }\n";
    home.file("policy.json", POLICY);
    let path = home.file("it.toml", &example.replacen("kind = \"sandbox\"\n", env, 1)).display().to_string();
    let args = ["rehearse", &path, "--env", "sandbox"].map(String::from);
    let mut pty = Pty::open(&home, 100, 40, "xterm-256color", &args);
    pty.shows("FAILED");
    pty.shows("HINT");
    // Lines are broken where the sheet ends.
    let text = pty.text().split_whitespace().collect::<Vec<_>>().join(" ").replace(" │ │ ", " ");
    println!("{}", pty.text());
    assert!(text.contains("denied, nothing done"), "{}", pty.text());
    assert!(text.contains("needs the permission ecs:UpdateService on"), "{}", pty.text());
    assert!(text.contains("service/acme/web"), "{}", pty.text());
    assert_eq!(home.effects(), Vec::<String>::new());
}
