//! Whole programs: `hurl`, the built `gonogo`, and this one again for its memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::Policy;

const GONOGO: &str = env!("CARGO_BIN_EXE_gonogo");

/// A size of a process, MiB, as the kernel counts it: `VmHWM` is all that is resident at its highest, `RssAnon` what is
/// not a page of a file now.
fn size_mib(process: &str, size: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(size)?.strip_prefix(':'))?;
    Some(line.trim().split(' ').next()?.parse::<f64>().ok()? / 1024.0)
}

/// The highest resident size of this process.
pub fn own_peak_mib() -> f64 {
    size_mib("self", "VmHWM").expect("a size")
}

/// Of a process that does nothing but the requests.
pub fn child_peak_mib(url: &str, requests: usize) -> f64 {
    let own = std::env::current_exe().expect("a path");
    let output =
        Command::new(own).args(["--child", url, "--requests", &requests.to_string()]).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a size")
}

/// Where hurl is.
pub fn hurl() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("GONOGO_HURL") {
        return Some(named.into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').map(|place| Path::new(place).join("hurl")).find(|path| path.is_file())
}

/// The same requests for both programs.
pub struct Race<'a> {
    hurl: &'a Path,
    place: &'a Path,
    file: PathBuf,
    runbook: PathBuf,
    requests: usize,
    at_once: usize,
    policy: Policy,
}

impl<'a> Race<'a> {
    /// `urls`: whom hurl asks, and whom gonogo asks.
    pub fn new(
        place: &'a Path,
        hurl: &'a Path,
        [theirs, url]: &[String; 2],
        requests: usize,
        at_once: usize,
        policy: Policy,
    ) -> Self {
        let name = format!("{policy:?}-{at_once}");
        let (file, runbook) = (place.join(format!("{name}.hurl")), place.join(format!("{name}.toml")));
        // Within one file hurl uses its connection again; each run of a file has its own.
        let within = if policy == Policy::Kept { format!("[Options]\nrepeat: {requests}\n") } else { String::new() };
        let asserts = "HTTP 200\n[Asserts]\nheader \"x-served-by\" == \"aws\"\njsonpath \"$.status\" == \"ok\"\n";
        fs::write(&file, format!("GET {theirs}/\n{within}{asserts}")).expect("written");
        let connection = if policy == Policy::Kept { "kept" } else { "fresh" };
        fs::write(
            &runbook,
            format!(
                "format = 1\n\n[runbook]\nid = \"http\"\ntitle = \"Many requests\"\nlead = \"mira\"\n\n[people]\nmira = {{ name = \"Mira Okafor\" }}\n\n\
                 [env.lab]\nkind = \"rehearsal\"\nconfirm = \"lab\"\n\n[[step]]\nid = \"http\"\ntitle = \"Many requests\"\nowner = \"mira\"\nplanned = \"10m\"\n\
                 verify = [{{ kind = \"http.check\", url = \"{url}/\", status = 200, header = {{ x-served-by = \"aws\" }}, \
                 json = {{ \"$.status\" = \"ok\" }}, times = {requests}, at_once = {at_once}, connection = \"{connection}\" }}]\n"
            ),
        )
        .expect("written");
        Self { hurl, place, file, runbook, requests, at_once, policy }
    }

    /// Seconds of hurl, from outside.
    pub fn hurl(&self) -> f64 {
        let mut command = Command::new(self.hurl);
        command.arg("--no-output");
        if self.policy == Policy::Fresh {
            command.args(["--repeat", &self.requests.to_string()]);
        }
        if self.at_once > 1 {
            command.args(["--parallel", "--jobs", &self.at_once.to_string()]);
        }
        timed(command.arg(&self.file))
    }

    fn gonogo_command(&self, state: &Path) -> Command {
        let mut command = Command::new(GONOGO);
        command.arg("rehearse").arg(&self.runbook).args(["--env", "lab", "--plain", "--auto-go", "--state-dir"]);
        command.arg(state);
        command
    }

    /// Seconds of a whole run: the plan, the journal, its end. The server is a real one, so there is no built-in world.
    pub fn gonogo(&self, round: usize) -> f64 {
        let state = self.place.join(format!("state-{:?}-{}-{round}", self.policy, self.at_once));
        timed(&mut self.gonogo_command(&state))
    }

    /// The highest resident size of a whole run, and the highest seen of what is not a page of a file.
    pub fn gonogo_peak_mib(&self) -> (f64, f64) {
        let mut command = self.gonogo_command(&self.place.join("memory"));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let (id, mut whole, mut own) = (child.id().to_string(), 0.0_f64, 0.0_f64);
        while child.try_wait().expect("waited").is_none() {
            whole = whole.max(size_mib(&id, "VmHWM").unwrap_or(0.0));
            own = own.max(size_mib(&id, "RssAnon").unwrap_or(0.0));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        (whole, own)
    }
}

fn timed(command: &mut Command) -> f64 {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("started");
    let seconds = begun.elapsed().as_secs_f64();
    let tail = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2000)..]).into_owned();
    assert!(output.status.success(), "{}\n{}", tail(&output.stdout), tail(&output.stderr));
    seconds
}
