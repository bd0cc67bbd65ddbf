-- Second phase: accepts a value, unless a higher ballot was promised or accepted.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, register, ballot (n, proposer), digest, value, n of the ballot that is
--   promised to the same proposer at once ('' for none)
-- Returns {'ACCEPTED'}, also for a repeated message; {'CONFLICT', n, proposer} with the higher ballot; {'FAULT', digest}
--   for a second value of one ballot, which must never be; or a refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local name, n, p, digest = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local r = register(name)
local pn, pp, an, ap = r[1], r[2], r[3], r[4]
if n == an and p == ap then
  if r[5] == digest then return {'ACCEPTED'} end
  return {'FAULT', r[5]}
end
if above(an, ap, pn, pp) then pn, pp = an, ap end
if above(pn, pp, n, p) then return {'CONFLICT', whole(pn), whole(pp)} end
local at = count()
local promised = ARGV[8] ~= '' and ARGV[8] or ARGV[4]
CALL('HSET', C .. ':r:' .. name, 'pn', promised, 'pp', ARGV[5], 'an', ARGV[4], 'ap', ARGV[5], 'digest', digest, 'value', ARGV[7])
CALL('ZADD', C .. ':names', at, name)
return {'ACCEPTED'}
