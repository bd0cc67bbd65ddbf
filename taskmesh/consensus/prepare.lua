-- First phase: promises to take no lower ballot, and tells what was accepted.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, register, ballot (n, proposer), the furthest that n may be ahead
-- Returns {'PROMISED', accepted n, proposer, digest, value} (0, 0, '', '' for none), {'CONFLICT', n, proposer} with the
--   higher ballot, {'AHEAD', promised n} for a ballot too far ahead, or a refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local name, n, p, jump = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local r = register(name)
local pn, pp, an, ap = r[1], r[2], r[3], r[4]
if above(an, ap, pn, pp) then pn, pp = an, ap end
if n > pn + jump then return {'AHEAD', whole(pn)} end
-- an equal ballot is refused as well: a proposer that lost its memory must not hear its old promise again
if not above(n, p, pn, pp) then return {'CONFLICT', whole(pn), whole(pp)} end
count()
CALL('HSET', C .. ':r:' .. name, 'pn', ARGV[4], 'pp', ARGV[5])
return {'PROMISED', whole(an), whole(ap), r[5] or '', r[6] or ''}
