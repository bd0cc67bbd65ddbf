-- Second phase: accepts a value, unless a higher ballot was promised or accepted.
-- flags: allow-oom
-- parts: acceptor, phases
-- KEYS[1] prefix  ARGV: instance, configuration, register, ballot (n, proposer), digest, value, '1' to promise the
--   ballot (n + 1, proposer) at once
-- Returns {'ACCEPTED'}, also for a repeated message; {'CONFLICT', n, proposer} with the higher ballot; {'AHEAD', promised n}
--   for a ballot too far ahead; {'FAULT', digest} for a second value of one ballot, which must never be; or a refusal as
--   parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
return take(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1')
