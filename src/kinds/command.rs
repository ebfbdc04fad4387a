//! `command`: a program without a shell, as an action or as a check.

mod lines;

use std::{collections::VecDeque, ffi::OsString, path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, bounded, clean_line},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Param, Params, Seen, Shape, TextOrSecret},
    runbook::value,
    services::{
        Services,
        process::{self, End, Spec},
    },
};

use lines::Lines;

/// How much output a check keeps to look for `expect_output` in: the last part.
const KEPT: usize = 256 << 10;

/// The kind.
pub static KIND: Kind = Kind {
    name: "command",
    summary: "runs a program, without a shell; as a check it only looks",
    docs: "\
Starts `argv` directly: no shell, no word splitting, no globbing. The child has its own process group (its own session
where there is a terminal), no terminal, nothing on standard input unless `stdin` gives it, and only these variables: PATH,
HOME, USER, LOGNAME, SHELL, TMPDIR, LANG, LC_ALL, LC_CTYPE, TZ, TERM=dumb, those of `inherit`, and those of `env`. Secrets go in by
`env` or `stdin`, never by `argv`, which every process of the machine can read.

Both outputs go to the log in the order they were written, line by line, with every known secret masked. It passes when the
exit code is `expect_exit`; as a check, when its output also contains `expect_output`.

At the step's timeout or on an abort the whole group gets SIGTERM, and SIGKILL 10 s later. Processes that the program left
behind and that still hold its output are ended in the same way.

What it did is opaque: an attempt that nobody saw the end of is never repeated by itself. Give it a `probe`, a program that
only reads: exit code 0 says done, 1 says not done, anything else says unclear. Where gonogo itself was killed, the program may
live on: a resume waits up to 90 s for the end of it and of what it started, says unclear while one of them still runs, and asks
the `probe` after that. It cannot be put back by itself: give the step a `rollback` of its own.

Limits: a program that makes a session of its own escapes that end; one that closes every descriptor it did not open, as a
daemon may, is not seen by a resume; programs that ask for a password fail instead of waiting.
As a check, nothing proves that it only reads: that is the author's promise.",
    params: &[
        Param { name: "argv", shape: Shape::Texts, required: true, help: "the program and its arguments" },
        Param { name: "env", shape: Shape::Map, required: false, help: "variables: texts, or secrets standing alone" },
        Param { name: "inherit", shape: Shape::Texts, required: false, help: "names of our own variables that it gets too" },
        Param { name: "stdin", shape: Shape::TextOrSecret, required: false, help: "what it reads; default nothing" },
        Param { name: "cwd", shape: Shape::Text, required: false, help: "the folder it runs in; default ours" },
        Param { name: "expect_exit", shape: Shape::Count, required: false, help: "the exit code that is success; default 0" },
        Param {
            name: "expect_output",
            shape: Shape::Text,
            required: false,
            help: "text that its output must contain (check only)",
        },
        Param {
            name: "probe",
            shape: Shape::Texts,
            required: false,
            help: "program that tells a resume whether it was done: 0 done, 1 not done (action only)",
        },
    ],
    doubt: Doubt::Opaque,
    needs: &["whatever the program needs"],
    example: include_str!("../../runbooks/kinds/command.toml"),
    bind: Bind::Both(
        |params, services| {
            only_for(params, "probe", "an action");
            Arc::new(Command::read(params, services))
        },
        |params, services| {
            only_for(params, "expect_output", "a check");
            Arc::new(Command::read(params, services))
        },
    ),
};

fn only_for(params: &mut Params<'_>, key: &'static str, what: &str) {
    if params.has(key) {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` is for `command` as {what}"), "has no use here", None);
    }
}

struct Command {
    services: Arc<Services>,
    argv: Vec<String>,
    env: Vec<(String, TextOrSecret)>,
    inherit: Vec<String>,
    stdin: Option<TextOrSecret>,
    cwd: Option<String>,
    expect_exit: u64,
    expect_output: Option<String>,
    probe: Vec<String>,
}

/// What a program is run as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Action,
    Check,
    Probe,
}

/// What a program ended with.
struct Ended {
    /// Exit code; none where a signal ended it.
    code: Option<i32>,
    words: String,
    tail: VecDeque<String>,
    output: Vec<u8>,
}

impl Command {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let (argv, probe) = (argv(params, "argv"), argv(params, "probe"));
        let expect_exit = params.opt_count("expect_exit").unwrap_or(0);
        if expect_exit > 255 {
            let span = params.place_of("expect_exit");
            params.mistake(span, "`expect_exit` must be 0 to 255", "no exit code", None);
        }
        let env = params.map("env");
        if let Some((name, _)) = env.iter().find(|(name, _)| name.is_empty() || name.contains(['=', '\0'])) {
            let span = params.place_of("env");
            params.mistake(span, format!("`{}` is no name of a variable", clean_line(name, 40)), "in this table", None);
        }
        Self {
            services: services.clone(),
            argv,
            env,
            inherit: params.texts("inherit"),
            stdin: params.opt_secret("stdin"),
            cwd: params.opt_text("cwd"),
            expect_exit,
            expect_output: params.opt_text("expect_output"),
            probe,
        }
    }

    async fn run(&self, cx: &Cx, argv: &[String], role: As) -> Result<(End, Ended), Failure> {
        let mut spec = self.spec(argv, role != As::Probe).await?;
        if role == As::Action {
            spec.mark = cx.reporter.mark()?;
        }
        let mut lines = Lines::new(cx, if self.expect_output.is_some() { KEPT } else { 0 });
        let end = process::run(spec, cx.deadline, &cx.cancel, |_, piece| lines.take(piece)).await?;
        let (tail, output) = lines.finish();
        let (code, words) = match end {
            End::Exited(status) => (status.code(), status.to_string()),
            End::TimedOut => (None, "timed out; its process group was ended".into()),
            End::Cancelled => (None, "cancelled; its process group was ended".into()),
        };
        Ok((end, Ended { code, words, tail, output }))
    }

    async fn spec(&self, argv: &[String], with_stdin: bool) -> Result<Spec, Failure> {
        let own = |name: &String| Some((OsString::from(name), zeroize::Zeroizing::new(std::env::var(name).ok()?)));
        let mut env = self.inherit.iter().filter_map(own).collect::<Vec<_>>();
        let secrets = &self.services.secrets;
        for (name, value) in &self.env {
            let value = secrets.text(value).await?;
            if value.expose().contains('\0') {
                return Err(Failure::new(
                    Class::Misconfigured,
                    format!("variable `{}` holds a NUL", clean_line(name, 60)),
                ));
            }
            env.push((name.into(), zeroize::Zeroizing::new(value.expose().to_owned())));
        }
        let stdin = match self.stdin.as_ref().filter(|_| with_stdin) {
            Some(text) => Some(zeroize::Zeroizing::new(secrets.text(text).await?.expose().to_owned())),
            None => None,
        };
        let cwd = self.cwd.as_ref().map(PathBuf::from);
        Ok(Spec { argv: argv.to_vec(), inherit: false, env, cwd, stdin, apart: false, mark: None })
    }

    fn program(&self) -> String {
        clean_line(self.argv.first().map(String::as_str).unwrap_or_default(), 80)
    }

    fn ended_badly(&self, class: Class, ended: &Ended) -> Failure {
        let what = if ended.code == Some(0) {
            format!("`{}` ended with 0, expected {}", self.program(), self.expect_exit)
        } else {
            format!("`{}`: {}", self.program(), ended.words)
        };
        ended.because(Failure::new(class, what))
    }

    async fn act(&self, cx: &Cx) -> Result<Done, Failure> {
        let (end, ended) = self.run(cx, &self.argv, As::Action).await?;
        match end {
            End::Exited(_) if self.as_expected(&ended) => {
                let line = format!("`{}`: {}", self.program(), ended.words);
                Ok(Done::new(line).with(json!({ "exit": ended.code })))
            }
            End::Exited(_) => Err(self.ended_badly(Class::Failed, &ended)),
            End::TimedOut | End::Cancelled => Err(self.ended_badly(Class::Unknown, &ended)),
        }
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let (end, ended) = self.run(cx, &self.argv, As::Check).await?;
        if end == End::Cancelled || end == End::TimedOut || !self.as_expected(&ended) {
            return Err(self.ended_badly(Class::NotYet, &ended));
        }
        if let Some(wanted) = &self.expect_output {
            let text = String::from_utf8_lossy(&ended.output);
            if !text.contains(wanted.as_str()) {
                let what = format!("the output of `{}` does not contain \"{}\"", self.program(), bounded(wanted, 200));
                return Err(ended.because(Failure::new(Class::NotYet, what)));
            }
        }
        let last = ended.tail.back().map(|line| format!(", last line: {line}")).unwrap_or_default();
        Ok(Seen::new(format!("`{}`: {}{last}", self.program(), ended.words)).with(json!({ "exit": ended.code })))
    }

    fn as_expected(&self, ended: &Ended) -> bool {
        ended.code.and_then(|code| u64::try_from(code).ok()) == Some(self.expect_exit)
    }
}

impl Ended {
    fn because(&self, failure: Failure) -> Failure {
        self.tail.iter().fold(failure, Failure::because)
    }
}

/// `argv` and `probe`: not empty, no secret (everybody can read it), no NUL.
fn argv(params: &mut Params<'_>, key: &'static str) -> Vec<String> {
    let Some(raw) = params.raw(key) else { return Vec::new() };
    let items = if let value::Kind::List(list) = &raw.kind { list.as_slice() } else { std::slice::from_ref(raw) };
    let empty = items.first().is_none_or(|first| matches!(&first.kind, value::Kind::Text(text) if text.is_empty()));
    if empty {
        params.mistake(raw.span.clone(), format!("`{key}` must begin with a program"), "no program", None);
    }
    let mut secret = false;
    for item in items {
        match &item.kind {
            value::Kind::Secret(name) => {
                secret = true;
                let message = format!("secret `{name}` must not stand in `{key}`");
                let help = Some("give it by `env` or `stdin`: every process can read a command line".into());
                params.mistake(item.span.clone(), message, "would be readable by everybody", help);
            }
            value::Kind::Text(text) if text.contains('\0') => {
                params.mistake(item.span.clone(), format!("`{key}` holds a NUL"), "cannot be passed on", None);
            }
            _ => {}
        }
    }
    if secret { Vec::new() } else { params.texts(key) }
}

impl Check for Command {
    fn looks(&self) -> String {
        let mut line = format!("run {}, expect exit code {}", shown(&self.argv), self.expect_exit);
        if let Some(wanted) = &self.expect_output {
            line += &format!(" and \"{}\"", bounded(wanted, 80));
        }
        line
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(self.look(cx))
    }
}

/// The command as a person would type it.
fn shown(argv: &[String]) -> String {
    let plain =
        |word: &String| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_-./:=@%+,".contains(c));
    let word = |word: &String| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    clean_line(&argv.iter().map(word).collect::<Vec<_>>().join(" "), 300)
}

impl Action for Command {
    fn does(&self) -> Vec<String> {
        let mut lines = vec![format!("run {}", shown(&self.argv))];
        if !self.env.is_empty() {
            let names = self.env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            lines.push(format!("with {names} in its environment"));
        }
        lines
    }

    fn doubt(&self) -> Doubt {
        Doubt::Opaque
    }

    fn restorable(&self) -> bool {
        false
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.act(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async {
            Err(Failure::new(Class::Misconfigured, "what a command did cannot be put back by itself")
                .hint("give the step a rollback of its own"))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, _captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            if self.probe.is_empty() || back {
                return Ok(Finding::Unclear {
                    line: "a command without a `probe`: nobody can know what it did".into(),
                });
            }
            let (_, ended) = self.run(cx, &self.probe, As::Probe).await?;
            let last = ended.tail.back().map(|line| format!(": {line}")).unwrap_or_default();
            Ok(match ended.code {
                Some(0) => Finding::Done(Done::new(format!("the probe says done{last}"))),
                Some(1) => Finding::NotDone { line: format!("the probe says not done{last}") },
                _ => Finding::Unclear { line: format!("the probe: {}{last}", ended.words) },
            })
        })
    }
}
