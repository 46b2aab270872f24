-- What a turn stands on: its persona, and the connection that answers it: the one named, else the
-- conversation's, else the caller's default, else the local model. And which of the modules that it asks for
-- are not there.
SELECT
    p.id AS persona_id, p.name AS persona_name, p.is_active AS persona_active, p.first_message,
    k.id AS connection_id, k.name AS connection_name, k.provider, k.settings,
    ARRAY(
        SELECT asked.name FROM unnest(CAST(:modules AS text[])) WITH ORDINALITY asked (name, place)
        WHERE NOT EXISTS (
            SELECT FROM modules m
            WHERE m.owner_id = :owner_id AND m.name = asked.name
              AND m.is_active AND m.type = 'advanced' AND m.execution_context = 'ON_DEMAND')
        ORDER BY asked.place) AS unknown_modules
FROM (SELECT 1) one
LEFT JOIN personas p
    ON p.owner_id = :owner_id AND p.id = coalesce(CAST(:persona_id AS uuid), CAST(:own_persona_id AS uuid))
LEFT JOIN LATERAL (
    SELECT c.* FROM connections c
    WHERE c.owner_id = :owner_id
      AND CASE
          WHEN CAST(:connection_id AS uuid) IS NOT NULL THEN c.id = CAST(:connection_id AS uuid)
          WHEN CAST(:own_connection_id AS uuid) IS NOT NULL THEN c.id = CAST(:own_connection_id AS uuid)
          ELSE c.is_default OR c.settings ->> 'base_url' = :local_url
      END
    ORDER BY c.is_default DESC, c.created_at
    LIMIT 1
) k ON true
