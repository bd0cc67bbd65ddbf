"""What `taskmesh worker` starts: a supervisor, a template, and the children that run tasks.

    supervisor   beats, watches, recalls, reaps; never imports the app, runs no user code
    template     imports the app, then only forks
    child        claims, runs, commits

Read `options`, then `child`, `runner` and `outbox`; then `supervisor` and `template`.
"""
