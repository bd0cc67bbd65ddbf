"""What `taskmesh worker` starts: a supervisor, a template, and the children that run tasks.

    supervisor   one loop of signals, news and beats; never imports the app, runs no user code
      nursery    starts children: forked by the template, or spawned where forking is unsafe
      brood      the children of one life: what their ends mean, what is taken back from them
      presence   beats, watches the other workers, takes over from the dead (`watch`, `undertaker`), hears orders
    template     imports the app, then only forks
    child        claims, runs, commits

Read `options`, then `child`, `runner` and `outbox`; then `supervisor`, `nursery`, `brood` and `presence`; then
`template` and `spawn`.
"""
