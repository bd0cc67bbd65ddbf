-- Whose revoking was asked for while it ran is never begun again: should its run end without an outcome, the message ends
-- as revoked, by what was signed then. Where nobody asked, this costs a look at the record's flags.
local function revoked_outcome(id, rec)
  if not string.find(REVOKE_REQUESTED, string.sub(rec, 62, 62), 1, true) then return nil end
  return CALL('HGET', P .. 'rv', id)
end
