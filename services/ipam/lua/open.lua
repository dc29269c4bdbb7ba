-- Puts an index that was built in the place of the old one and opens it.
-- KEYS: marker, building, new free, new given, new owners, free, given, owners.
-- ARGV: our token, layout. Returns 1, or nil when the build is not ours any more.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
redis.call('UNLINK', KEYS[6], KEYS[7], KEYS[8])
for i = 3, 5 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 3]) end
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2])
return 1
