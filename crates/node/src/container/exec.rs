//! Running a command in a container.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use drydock_client::Client;
use drydock_client::dialer::{ExecOptions, ExecStreams, Exit};
use drydock_machinery::{Object, ObjectMeta, Value};
use drydock_runtime::Clock;
use futures::FutureExt;
use tokio::io::AsyncRead;
use tokio::sync::{Notify, mpsc};

use super::files::{Files, normal};
use super::io::{Input, Io, Output, PIPE};
use super::scratch::Scratch;
use super::shell::Shell;
use super::terminal::Terminal;
use super::{World, commands, environment, user};
use crate::seed;

/// Prepares a command in a running container, whose restarts are `run`.
pub(crate) fn exec(
    client: Client,
    clock: Clock,
    scratch: Arc<Scratch>,
    pod: Arc<Object>,
    container: Value,
    run: String,
    options: ExecOptions,
) -> ExecStreams {
    let command = options.command.clone().unwrap_or_default();
    let (near_in, far_in) = tokio::io::duplex(PIPE);
    let (near_out, far_out) = tokio::io::duplex(PIPE);
    let (near_err, far_err) = tokio::io::duplex(PIPE);
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(1);
    let tty = options.tty;
    let (has_in, has_out, has_err) = (options.stdin, options.stdout, options.stderr);
    let exit = async move {
        let name = container.str_at(&["name"]).to_owned();
        let world = World {
            environment: environment::resolve(&client, &pod, &container, tty).await,
            files: Files::resolve(&client, &pod, &container, &run, scratch).await,
            user: user(&pod, &container),
            directory: normal("/", container.str_at(&["workingDir"])),
            terminal: tty,
            interrupted: Arc::new(Notify::new()),
            commands: AtomicUsize::new(0),
            budget: Arc::default(),
            clock,
            container,
            pod,
        };
        if let Some(why) = missing_program(&world, command.first().map_or("", String::as_str)) {
            let id = seed::digest(&[world.pod.uid(), &name, &world.clock.now().to_string()]);
            let what = format!("failed to exec in container: failed to start exec {id:?}");
            return Exit::Failed(format!("{what}: {why}"));
        }
        let world = Arc::new(world);
        let output = |wanted: bool, to: tokio::io::DuplexStream| match (wanted, tty) {
            (false, _) => Output::sink(),
            (true, true) => Output::terminal(to),
            (true, false) => Output::new(to),
        };
        let stdout = output(has_out, near_out);
        let stderr = if tty { stdout.clone() } else { output(has_err, near_err) };
        let (stdin, terminal) = match (has_in, tty) {
            (false, _) => (Input::empty(), None),
            (true, false) => (Input::new(far_in), None),
            (true, true) => {
                let (stdin, terminal) = Terminal::new(far_in, stdout.clone(), world.interrupted.clone());
                (stdin, Some(terminal))
            }
        };
        let mut shell = Shell::new(world);
        let io = Io { stdin, stdout, stderr };
        let interrupted = shell.world.interrupted.clone();
        let interactive = commands::is_interactive_shell(&command);
        let process = async {
            let _ = commands::run(&mut shell, &command, &io).await;
            shell.status
        };
        // A shell that reads commands sees to it itself.
        let killed = async {
            interrupted.notified().await;
            if interactive {
                std::future::pending::<()>().await;
            }
        };
        let typed = async {
            match terminal {
                Some(terminal) => terminal.run().await,
                None => std::future::pending().await,
            }
        };
        // Nothing is drawn that would need the size.
        let resized = async {
            while sizes.recv().await.is_some() {}
            std::future::pending::<()>().await;
        };
        let code = tokio::select! {
            biased;
            code = process => code,
            () = killed => 130,
            () = typed => 130,
            () = resized => 0,
        };
        Exit::Code(code)
    };
    let reading = |wanted: bool, from: tokio::io::DuplexStream| {
        wanted.then(|| Box::new(from) as Box<dyn AsyncRead + Send + Unpin>)
    };
    ExecStreams {
        stdin: has_in.then(|| Box::new(near_in) as _),
        stdout: reading(has_out, far_out),
        stderr: reading(has_err && !tty, far_err),
        resize: tty.then_some(resize),
        exit: exit.boxed(),
    }
}

/// Why the runtime does not start a program.
fn missing_program(world: &World, program: &str) -> Option<String> {
    let runc = |why: String| {
        format!("OCI runtime exec failed: exec failed: unable to start container process: {why}")
    };
    if !world.directory.is_empty() && world.files.find(&world.directory).is_none() {
        // The runtime makes a working directory that the image does not have.
        let _ = world.files.make_directory(&world.directory);
    }
    if commands::is_known(program) {
        return None;
    }
    if program.contains('/') {
        return Some(match world.files.find(&normal(&world.directory, program)) {
            None => runc(format!("exec: {program:?}: stat {program}: no such file or directory")),
            Some(_) => runc(format!("exec: {program:?}: permission denied")),
        });
    }
    Some(runc(format!("exec: {program:?}: executable file not found in $PATH")))
}
