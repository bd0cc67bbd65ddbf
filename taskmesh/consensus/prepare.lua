-- First phase: promises to take no lower ballot, and tells what was accepted.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, register, ballot (n, proposer)
-- Returns {'PROMISED', accepted n, proposer, digest, value} (0, 0, '', '' for none), {'CONFLICT', n, proposer} with the
--   higher ballot, {'AHEAD', promised n} for a ballot too far ahead, or a refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local name, n, p = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local pn, pp, an, ap, digest, value = register(name)
if n > pn + JUMP_MAX or n > N_MAX then return {'AHEAD', whole(pn)} end
-- an equal ballot is refused as well: a proposer that lost its memory must not hear its old promise again
if not above(n, p, pn, pp) then return {'CONFLICT', whole(pn), whole(pp)} end
count()
CALL('HSET', C .. ':r:' .. name, 'pn', ARGV[4], 'pp', ARGV[5])
-- listed without a count: it has nothing to tell, but is to be dropped one day
CALL('ZADD', C .. ':names', 'NX', '0', name)
return {'PROMISED', whole(an), whole(ap), digest, value}
