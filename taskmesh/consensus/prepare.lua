-- First phase: promises to take no lower ballot, and tells what was accepted.
-- flags: allow-oom
-- parts: acceptor, phases
-- KEYS[1] prefix  ARGV: instance, configuration, register, ballot (n, proposer)
-- Returns {'PROMISED', accepted n, proposer, digest, value} (0, 0, '', '' for none), {'CONFLICT', n, proposer} with the
--   higher ballot, {'AHEAD', promised n} for a ballot too far ahead, or a refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
return promise(ARGV[3], ARGV[4], ARGV[5])
