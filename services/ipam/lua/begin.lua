-- Starts to build an index, unless it is open or somebody else is building it. From here until
-- open.lua the index is closed, so that nothing is handed out beside what is being read.
-- KEYS: marker, building, new free, new given, new owners.
-- ARGV: layout, our token, the token of a builder that was seen to stand still (or '').
-- Returns 'open', our token, or the token of the other builder.
if redis.call('GET', KEYS[1]) == ARGV[1] then return 'open' end
local other = redis.call('GET', KEYS[2])
if other and other ~= ARGV[3] then return other end
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4], KEYS[5])
redis.call('SET', KEYS[2], ARGV[2])
return ARGV[2]
