-- Second phase: accepts a value, unless a higher ballot was promised or accepted.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, register, ballot (n, proposer), digest, value, '1' to promise the
--   ballot (n + 1, proposer) at once
-- Returns {'ACCEPTED'}, also for a repeated message; {'CONFLICT', n, proposer} with the higher ballot; {'AHEAD', promised n}
--   for a ballot too far ahead; {'FAULT', digest} for a second value of one ballot, which must never be; or a refusal as
--   parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local name, n, p = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local pn, pp, an, ap, digest = register(name)
if n == an and p == ap then
  if digest == ARGV[6] then return {'ACCEPTED'} end
  return {'FAULT', digest}
end
if above(pn, pp, n, p) then return {'CONFLICT', whole(pn), whole(pp)} end
if n > pn + JUMP_MAX or n > N_MAX then return {'AHEAD', whole(pn)} end
local at = count()
local promised = ARGV[8] == '1' and whole(n + 1) or ARGV[4]
CALL('HSET', C .. ':r:' .. name, 'pn', promised, 'pp', ARGV[5], 'an', ARGV[4], 'ap', ARGV[5], 'digest', ARGV[6], 'value', ARGV[7])
CALL('ZADD', C .. ':names', at, name)
return {'ACCEPTED'}
