"""Every key name on a node comes from here; the scripts build the same names from the prefix.

<prefix>epoch          the epoch, 12 hex digits: generation (8), view (4)
<prefix>meta           hash: mesh id, slots, format, created, ids of accepted keys
<prefix>r:<id>         the record of one message (see `record`)
<prefix>L:<slot>       set of the ids in this slot that are not final
<prefix>F:<slot>       in a mesh of several nodes: set of the ids in this slot that are final and not yet forgotten
<prefix>side           in a mesh of several nodes: hash id -> what of it stands outside its record and never changes
<prefix>view           in a mesh of several nodes: this node's copy of the view (see `replication/view.py`)
<prefix>founding       the first view of a mesh of several nodes, as whoever came first wrote it
<prefix>observed       in a mesh of several nodes: hash observer -> when it looked (ms), and which nodes were silent
<prefix>own            in a mesh of several nodes: one character per slot, `1` where this node leads
<prefix>me             in a mesh of several nodes: hash: the id that this node has in views, and its instance
<prefix>gathered       sorted set of hints, each behind its line's name, by the time of creation (ms), or below 0
                       once it stands there: while the node becomes the primary of their slots
<prefix>promoting      in a mesh of several nodes: the epoch for which the node began to be promoted, till it obeys one;
                       when it gathers, also whose token that is of, and since when (ms)
<prefix>history        in a mesh of several nodes: list of the last changes of the view, for people
<prefix>coming         in a mesh of several nodes: hash id -> of which copy pieces are coming (see `parts/coming.lua`)
<prefix>c:<id>         what has come of it
<prefix>level          in a mesh of several nodes: up to which moment (ms) all copies here are known to be level
<prefix>q:<queue>:<p>  list of hints `id:version` that are ready, priority p (0-9)
<prefix>queues         set of the queues that ever held a message, and were not forgotten since
<prefix>d              sorted set of hints by due time (ms): SCHEDULED and RETRY
<prefix>e              sorted set of ids by the time until which they may begin (ms)
<prefix>rv             hash id -> signed outcome of a message that was told to be revoked while it ran
<prefix>tellings       hash id -> signed telling of a message that runs: progress, label, facts
<prefix>parked         hash id -> build that could not take it
<prefix>run:<holder>   hash sequence -> ids of one claim, joined by newlines
<prefix>workers        set of the incarnations
<prefix>ring           sorted set of the incarnations by the number in their names: who watches whom
<prefix>w:<incarnation> hash: state, beat, info, report, s<child> = last claim sequence of a child (ffffffff: dead),
                       h<child> = in a mesh of several nodes: sequence under which it is about to be handed a message
<prefix>idle:<queue>   sorted set of idle holders by the time they became idle (ms)
<prefix>paused         set of the queues from which nothing is claimed
<prefix>pidle:<queue>  as idle:, of a paused queue: they are woken when it goes on
<prefix>tidle:<queue>  sorted set of idle holders by their names: of workers that hear of work by tickets of a broker
<prefix>wake:<holder>  list on which an idle child blocks
<prefix>control:<incarnation>  list of signed control messages for a supervisor
<prefix>x:<minute>     list of the ids to be removed in this minute, some in each element, joined by newlines; with a
                       space in front where only what came of it in pieces is meant
<prefix>xf:<minute>    list of the functions to be removed in this minute, unless something refers to them again
<prefix>xb             sorted set of the minutes in which there is something to be removed
<prefix>dead           sorted set of dead letters by the time they died (ms)
<prefix>fn:<hash>      a function sent by value
<prefix>fnref          hash: a function's hash -> how many records refer to it
<prefix>uq             hash: digest of a unique key -> until when it is held, and by which message
<prefix>us             hash id -> digest, of those that hold it only until they are claimed
<prefix>ik             hash: digest of an idempotency key -> what it was given for, and its first message
<prefix>ikid           hash id -> digest, of messages that an idempotency key leads to
<prefix>gate           hash id -> which unique and sequence keys a message that is not final holds
<prefix>sq:<digest>    sorted set: the messages of a sequence that are not final, in their order
<prefix>blk:<queue>    set of the messages of a queue that wait for their turn in a sequence; they stand in no line
<prefix>leader         the highest token of a leader that the node was told of
<prefix>candidates     hash id of a candidate -> JSON: its name and process, whether it leads, when it said so
<prefix>settled        up to which moment all firings are in cursors (UTC, as in ids); later ones are not forgotten
<prefix>rates          hash: digest of a task with a rate limit -> when the next start is free (us)
<prefix>rate:<digest>  sorted set of the messages that wait for a start, by the moment reserved for each (us)
<prefix>before:<digest>  of those, the ones that began to wait while another limit held, until they are told
<prefix>stats          hash `<queue>:<letter>` -> how many reached the state
<prefix>ac:<...>       an acceptor's memory: `instance`, a hash: id, run id when admitted, boot id, count, highest
                       configuration; of each configuration `<number>`, a hash: members, sealed, dropped;
                       `<number>:r:<register>`, a hash: promise, accepted ballot, digest, value; `<number>:names`,
                       the sorted set of its registers by the count of their last accept
<prefix>wishes         hash queue -> what was wished for it and may not stand in its register yet (see `queue/wish.py`);
                       `wishes:weight` and `wishes:rate` hold wishes for weights of queues, and for limits of tasks
<prefix>settings       hash: `w <queue>` -> its weight, `r <task>` -> its rate limit: as operators have set them;
                       `listened` -> until when (ms) somebody said to listen to events
<prefix>seat           number and members of the configuration of acceptors that was seen last (see `nodes/seat.py`)
<prefix>n:<client>     notice channel of one client process
<prefix>events         channel on which is told what happens (see `event`), while somebody listens
<prefix>listened       stands for some seconds after a listener said that it is there
<prefix>turn:<process> channel on which those of a process who wait in a line are told that it may be their turn
"""

from __future__ import annotations

#: The first number of a child that runs many messages at once: scripts tell them apart by it, in the holder.
MANY_AT_ONCE = 0x800000
#: Added to the number of a child that the tickets of a broker wake, and not the node: by it scripts tell these, too.
BY_TICKET = 0x400000


def prefix(mesh: str) -> bytes:
    """Return what every key of the mesh begins with."""
    return b"tm:" + mesh.encode("ascii") + b":"


def epoch(of: bytes) -> bytes:
    """Return the key of the epoch."""
    return of + b"epoch"


def meta(of: bytes) -> bytes:
    """Return the key of the meta hash."""
    return of + b"meta"


def record(of: bytes, task_id: str) -> bytes:
    """Return the key of a record."""
    return of + b"r:" + task_id.encode("ascii")


def queues(of: bytes) -> bytes:
    """Return the key of the set of queues that are known."""
    return of + b"queues"


def view(of: bytes) -> bytes:
    """Return the key of a node's copy of the view."""
    return of + b"view"


def me(of: bytes) -> bytes:
    """Return the key of what a node is as a member."""
    return of + b"me"


def founding(of: bytes) -> bytes:
    """Return the key under which one node keeps the first view, as whoever came first wrote it."""
    return of + b"founding"


def promoting(of: bytes) -> bytes:
    """Return the key that tells that a promotion was begun and did not come to its end yet."""
    return of + b"promoting"


def history(of: bytes) -> bytes:
    """Return the key of the last changes of the view."""
    return of + b"history"


def observed(of: bytes) -> bytes:
    """Return the key of what observers note of nodes that are silent."""
    return of + b"observed"


def parked(of: bytes) -> bytes:
    """Return the name of the hash of messages that no worker could take."""
    return of + b"parked"


def paused(of: bytes) -> bytes:
    """Return the key of the set of queues that are paused."""
    return of + b"paused"


def wishes(of: bytes, kind: bytes = b"") -> bytes:
    """Return the key of what was wished, in one kind of thing, and may not stand in registers yet."""
    return of + b"wishes" + kind


def settings(of: bytes) -> bytes:
    """Return the key of what operators have set for queues and tasks."""
    return of + b"settings"


def seat(of: bytes) -> bytes:
    """Return the key under which the data node remembers who holds the registers."""
    return of + b"seat"


def leader(of: bytes) -> bytes:
    """Return the key of the highest token of a leader."""
    return of + b"leader"


def candidates(of: bytes) -> bytes:
    """Return the key of what candidates for the lead say of themselves."""
    return of + b"candidates"


def settled(of: bytes) -> bytes:
    """Return the key of the moment up to which all firings are in cursors."""
    return of + b"settled"


def run(of: bytes, holder: bytes) -> bytes:
    """Return the key of what one child has claimed."""
    return of + b"run:" + holder


def wake(of: bytes, holder: bytes) -> bytes:
    """Return the key of the list on which an idle child blocks."""
    return of + b"wake:" + holder


def control(of: bytes, incarnation: bytes) -> bytes:
    """Return the key of the list of control messages for one supervisor."""
    return of + b"control:" + incarnation


def workers(of: bytes) -> bytes:
    """Return the key of the set of the workers' incarnations."""
    return of + b"workers"


def worker(of: bytes, incarnation: bytes) -> bytes:
    """Return the key of what is known of one worker."""
    return of + b"w:" + incarnation


def function(of: bytes, content_hash: str) -> bytes:
    """Return the key of a function sent by value."""
    return of + b"fn:" + content_hash.encode("ascii")


def channel(of: bytes, client: bytes) -> bytes:
    """Return the notice channel of one client process."""
    return of + b"n:" + client


def turn(of: bytes, process: bytes) -> bytes:
    """Return the channel on which a process is told that it may be the turn of one who waits in it."""
    return of + b"turn:" + process.hex().encode()


def events(of: bytes) -> bytes:
    """Return the channel on which is told what happens."""
    return of + b"events"


def listened(of: bytes) -> bytes:
    """Return the key that stands while somebody listens to events."""
    return of + b"listened"


def waiting_starts(of: bytes, digest: bytes) -> bytes:
    """Return the key of the messages that wait for a start of a task with a rate limit."""
    return of + b"rate:" + digest


def dead_letters(of: bytes) -> bytes:
    """Return the key of the sorted set of dead letters."""
    return of + b"dead"
