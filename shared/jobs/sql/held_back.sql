-- Whether the owner has a claimable job of the kind.
SELECT EXISTS (
    SELECT 1 FROM jobs
    WHERE kind = :kind AND owner_id = :owner_id AND phase = 'ready' AND cancel_requested_at IS NULL
)
