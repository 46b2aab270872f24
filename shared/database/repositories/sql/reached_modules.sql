-- The owner's modules of these names, and those that they name in turn.
WITH RECURSIVE named (id, module_names) AS (
    SELECT m.id, m.module_names FROM modules m
    WHERE m.owner_id = :owner_id AND m.name = ANY(CAST(:names AS text[]))
    UNION
    SELECT m.id, m.module_names
    FROM named n
    CROSS JOIN LATERAL (
        SELECT m.id, m.module_names FROM modules m
        WHERE m.owner_id = :owner_id AND m.name = ANY(n.module_names)
        OFFSET 0
    ) m
)
SELECT m.* FROM named JOIN modules m ON m.id = named.id
